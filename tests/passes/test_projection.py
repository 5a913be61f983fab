"""Projected scores against exact ones."""

from __future__ import annotations

import pytest
import torch

import clues.passes.projection as projection
from bundles import job, score, scores
from clues.models.trajectory import Trained
from clues.passes.projection import project
from clues.settings import ScoringSettings
from scoring_oracle import LORA, checkpoint, tokens

SAMPLES, ANCHORS, VALIDATION = tokens(24, 1), tokens(3, 4, prefix="a"), tokens(3, 2, prefix="v")


def less(base, dimension, **settings):
    chosen = ScoringSettings(method="less", projection=dimension, **settings)
    given = job(base, SAMPLES, ANCHORS, VALIDATION, scoring=chosen)
    return scores(given, Trained(LORA, [checkpoint(base)])).columns


@pytest.mark.parametrize("dimension", [256, 16384])
def test_cosines_of_projections_are_near_the_exact_ones(base, dimension):
    """A cosine's error is about 1/√dimension: never above 4 of these, and not so small that nothing was projected."""
    exact, projected = less(base, 0), less(base, dimension)
    error = (projected["score"] - exact["score"]).abs() * dimension**0.5
    assert error.mean() > 0.05
    assert error.max() < 4
    assert torch.allclose(projected["norm"], exact["norm"], rtol=4 / dimension**0.5)
    assert torch.equal(projected["loss"], exact["loss"])


def test_both_sides_are_projected_when_both_are_adam_directions(base):
    """Sample and validation set are one: its cosine with itself is exact."""
    same = tokens(1, 2)
    settings = ScoringSettings(method="clues", preconditioner="adam", projection=64)
    found = score(base, [checkpoint(base)], LORA, same, same, settings)
    assert found["cosine"].item() == pytest.approx(1, abs=1e-5)


def test_batch_size_changes_nothing(base):
    one, other = (less(base, 128, batch_size=size) for size in (1, 16))
    for name in one:
        assert torch.allclose(one[name], other[name], rtol=1e-4, atol=1e-6), name


def test_the_matrix_is_drawn_in_blocks_and_differs_by_tensor(monkeypatch):
    vectors = torch.eye(50)
    monkeypatch.setattr(projection, "_BLOCK", 8 * 7)
    matrix = project("a", vectors, dimension=8)
    assert torch.equal(matrix.abs(), torch.full((50, 8), 8**-0.5))
    assert len({tuple(row) for row in matrix.tolist()}) > 40  # no block repeats another's columns
    assert torch.equal(matrix, project("a", vectors, dimension=8))
    assert not torch.equal(matrix, project("b", vectors, dimension=8))
