"""The server computes the anchor scores that it can, and knows which it cannot."""

from __future__ import annotations

import pytest
import torch

from bundles import job, passes, scores
from clues.collaboration.recomputed import disagreement, recomputable, recomputed_anchors
from clues.errors import ConfigError
from clues.methods.registry import METHODS
from clues.models.trajectory import Trained
from clues.settings import ScoringSettings
from scoring_oracle import LORA, checkpoint, tokens

ANCHORS, VALIDATION = tokens(6, 4, prefix="a"), tokens(3, 2, prefix="v")
COLUMNS = ("score", "paper", "dot", "cosine")
LACKING = {"rho": "its adapter", "less": "Adam's moments"}  # what depends on public data, but is not at the server


def client(base, settings: ScoringSettings, seed: int):
    return job(base, tokens(7, seed), ANCHORS, VALIDATION, scoring=settings)


def sent(given, trained) -> dict[str, torch.Tensor]:
    columns = scores(given, trained).columns
    return {name: columns[name][len(given.private) :] for name in COLUMNS if name in columns}


@pytest.mark.parametrize(
    "settings",
    [{"method": name} for name in METHODS]
    + [
        {"method": "clues", "contrast": 3},
        {"method": "clues", "similarity": "dot", "domain_weights": {"d": 2.0}},
    ],
    ids=str,
)
def test_exactly_the_columns_that_no_private_sample_changes_are_recomputed(base, settings):
    chosen, trained = ScoringSettings(**settings), Trained(LORA, [checkpoint(base)])
    here, there = (sent(client(base, chosen, seed), trained) for seed in (1, 8))
    public = {name for name in here if torch.allclose(here[name], there[name], rtol=1e-4, atol=1e-6)}
    expected = set(recomputable(chosen)) & set(here)
    assert expected == (set() if chosen.method in LACKING else public)
    if expected:
        given = client(base, chosen, 9)
        recomputed = recomputed_anchors(given, trained, passes(base, chosen))
        assert set(recomputed) == expected
        for name, values in recomputed.items():
            torch.testing.assert_close(values, here[name], rtol=1e-4, atol=1e-6)


def test_what_cannot_be_recomputed_is_refused(base):
    for settings in ({"method": "datainf"}, {"method": "clues", "preconditioner": "adam"}, {"walk": "in-run"}):
        chosen = ScoringSettings(**settings)
        assert recomputable(chosen) == ()
        with pytest.raises(ConfigError, match="need what stays at a client"):
            recomputed_anchors(client(base, chosen, 1), Trained(LORA, []), passes(base, chosen))


def test_disagreement():
    own = torch.tensor([1.0, 2.0, 3.0, 4.0])
    same, scaled, lie = (disagreement(sent, own) for sent in (own.clone(), 5 * own, own.flip(0)))
    assert (same.largest, same.rank) == (0.0, pytest.approx(1.0))
    assert scaled.largest > 1 and scaled.rank == pytest.approx(1.0)
    assert lie.rank == pytest.approx(-1.0)
