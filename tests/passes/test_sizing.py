"""Batches that grow with the memory of a graphics card."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import clues.passes.sizing as sizing
from clues.settings import ScoringSettings


@pytest.mark.parametrize(("free", "factor"), [(0, 1), (1_599, 1), (1_600, 2), (3_199, 2), (80_000, 64)])
def test_a_batch_takes_at_most_half_of_the_free_memory(free, factor):
    assert sizing.growth(free, tokens=40, bytes_per_token=10) == factor


def test_settings_count_on_a_processor_and_where_they_are_chosen(base, monkeypatch):
    assert sizing.batch_limits(base, ScoringSettings()) == (16, 1024)
    card = type("Card", (), {"device": "cuda", "config": base.model.config, "dtype": torch.float32})()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (80 << 30, 80 << 30))
    chosen = ScoringSettings(batch_size=3)
    assert sizing.batch_limits(replace(base, model=card), chosen) == (3, 1024)
    size, tokens = sizing.batch_limits(replace(base, model=card), ScoringSettings())
    assert size / 16 == tokens / 1024 > 1
