"""Our scores against those of bergson, a library by others, where it is installed (`pip install -e .[benchmarks]`)."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from bundles import score
from clues.models.trajectory import Checkpoint
from clues.settings import ScoringSettings
from scoring_oracle import LORA, random_state, tokens

pytest.importorskip("bergson")

TOLERANCE = 1e-5


@pytest.mark.parametrize("way", ["commands", "loaded"])
def test_scores_equal_those_of_bergson(base, tmp_path, monkeypatch, way):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    peer, setting = importlib.import_module("peers.bergson"), importlib.import_module("setting")
    samples, validation = tokens(9, 1), tokens(5, 2, prefix="v")
    settings = ScoringSettings(similarity="dot", batch_size=4)
    state = random_state(base)
    data = setting.Data(base, LORA, state, samples, validation, scoring=settings, shares=None, batch_size=4)
    with getattr(peer, way)(data, tmp_path) as run:
        wanted = run()[:, 0].double()
    ours = score(base, [Checkpoint(state, 1.0)], LORA, samples, validation, settings)["score"]
    assert wanted.abs().max() > 0
    assert (ours.double() - wanted).abs().max() <= TOLERANCE * wanted.abs().max()
