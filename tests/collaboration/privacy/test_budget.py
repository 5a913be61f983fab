"""A silo's budget is kept on disk, only grows, and pays once for a message."""

from __future__ import annotations

import pytest
import torch

from clues.collaboration.privacy.budget import Budget, epsilon, release_once
from clues.collaboration.privacy.noise import privatised
from clues.errors import OutputError, ProtocolError
from clues.io.store import Store
from clues.models.adapters import TENSORS
from clues.settings import AnchorNoise, NoiseSettings, PrivacyLimits

LIMITS = PrivacyLimits(max_epsilon=2.0, delta=1e-5, max_clipping_norm=1.0, min_noise_multiplier=2.0)


def test_epsilon_agrees_with_another_accountant():
    """Privacy loss distributions (dp-accounting's other way) bound the same ε from above, closely."""
    from dp_accounting import GaussianDpEvent, pld

    accountant = pld.PLDAccountant()
    accountant.compose(GaussianDpEvent(5.0), 6).compose(GaussianDpEvent(8.0), 2)
    bound = accountant.get_epsilon(1e-5)
    assert epsilon([5.0] * 6 + [8.0] * 2, 1e-5) == pytest.approx(bound, rel=1e-3)
    assert epsilon([], 1e-5) == 0.0


@pytest.mark.parametrize(
    ("proposed", "reason"),
    [
        (None, "noised updates only"),
        (
            NoiseSettings(clipping_norm=1.5, noise_multiplier=4),
            "clips updates to 1.5, and this client demands at most 1",
        ),
        (NoiseSettings(clipping_norm=1, noise_multiplier=1.9), "multiplier is 1.9, and this client demands at least 2"),
    ],
)
def test_weaker_noise_than_the_client_demands_is_refused(proposed, reason):
    with pytest.raises(ProtocolError, match=reason):
        LIMITS.check_updates(proposed)


def test_stronger_noise_is_accepted():
    LIMITS.check_updates(NoiseSettings(clipping_norm=0.5, noise_multiplier=2))
    LIMITS.check_anchors(AnchorNoise(release="none"))
    LIMITS.check_anchors(AnchorNoise(release="noised", noise_multiplier=1.0))


def test_more_of_the_anchors_than_the_client_gives_is_refused():
    with pytest.raises(
        ProtocolError, match=r"asks for exact anchor scores, and this client's anchors\.release is noised"
    ):
        LIMITS.check_anchors(AnchorNoise())
    with pytest.raises(ProtocolError, match=r"is 0\.5, and this client demands at least 1"):
        LIMITS.check_anchors(AnchorNoise(release="noised", noise_multiplier=0.5))


def test_what_was_spent_survives_a_restart_and_only_grows(tmp_path):
    path, seen = tmp_path / "privacy.json", [0.0]
    for number in range(3):
        Budget(path, LIMITS).spend(f"round {number}", 6.0)
        seen.append(Budget(path, LIMITS).epsilon)
    assert seen == sorted(set(seen))
    assert seen[-1] == epsilon([6.0] * 3, 1e-5)


def test_a_release_beyond_the_budget_is_refused_and_not_recorded(tmp_path):
    budget = Budget(tmp_path / "privacy.json", LIMITS)
    budget.spend("round 1", 2.5)
    spent = budget.epsilon
    with pytest.raises(ProtocolError, match=r"1 more releases would raise ε from .* above max_epsilon 2"):
        budget.spend("round 2", 2.5)
    assert budget.epsilon == spent
    with pytest.raises(ProtocolError, match="40 more releases"):
        budget.check([10.0] * 40)


def test_a_broken_file_is_not_taken_for_an_empty_one(tmp_path):
    (tmp_path / "privacy.json").write_text("{")
    with pytest.raises(OutputError):
        Budget(tmp_path / "privacy.json", LIMITS).spend("round 1", 5.0)


def test_a_message_that_is_asked_again_gets_the_same_answer_for_nothing(tmp_path):
    initial, settings = {"w": torch.zeros(100)}, NoiseSettings(clipping_norm=1, noise_multiplier=5)

    def answer(message: str):
        budget, store = Budget(tmp_path / "privacy.json", LIMITS), Store(tmp_path / "store")
        release = (lambda: privatised({"w": torch.ones(100)}, initial, settings).state, TENSORS)
        return release_once(budget, store, ["job", message], multiplier=5.0, release=release)["w"]

    first = answer("round 1")
    assert torch.equal(first, answer("round 1"))
    assert Budget(tmp_path / "privacy.json", LIMITS).multipliers == [5.0]
    assert not torch.equal(first, answer("round 2"))
    assert Budget(tmp_path / "privacy.json", LIMITS).multipliers == [5.0, 5.0]


def test_an_answer_that_cannot_be_paid_for_is_not_made(tmp_path):
    budget, made = Budget(tmp_path / "privacy.json", LIMITS), []
    with pytest.raises(ProtocolError, match="max_epsilon"):
        release = (lambda: made.append(1) or {"w": torch.zeros(1)}, TENSORS)
        release_once(budget, Store(tmp_path / "store"), "m", multiplier=0.5, release=release)
    assert made == [] and not (tmp_path / "privacy.json").exists()
