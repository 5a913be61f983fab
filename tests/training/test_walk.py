"""Federated rounds walk on through a client's samples."""

from __future__ import annotations

from collections import Counter

import pytest

from clues.settings import TrainingSettings
from clues.training.walk import round_rows


def walked(samples: int, settings: TrainingSettings, rounds: int, seed: int = 1) -> list[list[int]]:
    return [round_rows(samples, settings, seed=seed, number=number, rounds=rounds) for number in range(1, rounds + 1)]


def test_rounds_that_pass_over_the_samples_once_see_every_sample_once():
    rounds = walked(24, TrainingSettings(steps=6, batch_size=4), 3)
    assert [len(rows) for rows in rounds] == [8, 8, 8]
    assert sorted(row for rows in rounds for row in rows) == list(range(24))


@pytest.mark.parametrize(
    ("settings", "total"),
    [
        (TrainingSettings(steps=7, batch_size=3, gradient_accumulation=2), 42),
        (TrainingSettings(epochs=2.5), 25),
        (TrainingSettings(epochs=1), 10),
    ],
)
def test_all_steps_are_made_and_every_sample_is_seen_as_often_up_to_one(settings, total):
    rounds = walked(10, settings, 4)
    seen = Counter(row for rows in rounds for row in rows)
    assert sum(seen.values()) == total
    assert set(seen) == set(range(10))
    assert max(seen.values()) - min(seen.values()) <= 1


def test_the_order_is_of_the_seed():
    settings = TrainingSettings(epochs=1)
    assert walked(20, settings, 2) == walked(20, settings, 2)
    assert walked(20, settings, 2) != walked(20, settings, 2, seed=2)
