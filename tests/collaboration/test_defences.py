"""Defences that need no attack to be tested: numbers against their definitions."""

from __future__ import annotations

import math

import pytest
import torch

from clues.collaboration.defences import capped_weights, check_updates, contributions
from clues.errors import ConfigError


def test_update_reports_are_norms_and_cosines():
    generator = torch.Generator().manual_seed(0)
    updates = {
        client: {"A": 1 + torch.randn(3, 4, generator=generator), "B": torch.randn(5, generator=generator)}
        for client in "abcd"
    }
    flat = {c: torch.cat([t.double().flatten() for t in u.values()]) for c, u in updates.items()}
    for client, report in check_updates(updates).items():
        others = [one / one.norm() for name, one in flat.items() if name != client]
        direction = sum(others)
        assert report.norm == pytest.approx(float(flat[client].norm()))
        cosine = float(flat[client] @ direction / flat[client].norm() / direction.norm())
        assert report.cosine == pytest.approx(cosine)
        most = max(
            (float(flat[client] @ flat[o] / flat[client].norm() / flat[o].norm()), o) for o in flat if o != client
        )
        assert report.nearest == most[1]


def test_updates_of_none_of_one_and_of_nothing():
    assert check_updates({}) == {}
    alone = check_updates({"a": {"w": torch.ones(4)}})["a"]
    assert alone.norm == 2.0 and math.isnan(alone.ratio) and alone.reasons == []
    reports = check_updates({c: {"w": torch.zeros(3) if c == "c" else torch.ones(3)} for c in "abc"}, cosine=-1.0)
    assert reports["c"].reasons == ["its norm is 0 times the others' median"]


def test_contributions_are_what_the_loss_loses_without_a_client():
    help_of, asked = {"a": 0.3, "b": 0.1, "c": -0.2}, []

    def loss(clients):
        asked.append(list(clients))
        return 2.0 - sum(help_of[client] for client in clients)

    assert contributions(list("abc"), loss) == pytest.approx(help_of)
    assert asked == [["a", "b", "c"], ["b", "c"], ["a", "c"], ["a", "b"]]
    assert contributions(["a"], loss) == {}


def test_a_cap_below_one_is_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        capped_weights({"a": 1.0}, factor=0.5)
