"""Two groups of scores, or one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clues.methods.default.groups import Groups, Normal, judged


def normal(mean: float, deviation: float, count: int, seed: int) -> Tensor:
    return mean + deviation * torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


ANCHORS = normal(0, 2, 12, 1)


@pytest.mark.parametrize("low", [8, 20, 32])
def test_good_and_low_samples_are_divided_whatever_their_shares(low):
    scores = torch.cat([normal(0, 2, 40 - low, 2), normal(-12, 3, low, 3)])
    log_odds, _, separated = judged(scores, ANCHORS)
    assert separated
    right = (log_odds > 0) == (torch.arange(40) < 40 - low)
    assert right.sum() >= 38


def test_a_client_of_good_samples_is_one_group_and_keeps_nearly_all():
    judgements = [judged(normal(0, 2, 40, seed), normal(0, 2, 12, 100 + seed)) for seed in range(20)]
    assert sum(separated for *_, separated in judgements) <= 1  # by chance
    assert sum(int((log_odds > 0).sum()) for log_odds, *_ in judgements) >= 0.97 * 800


def test_log_odds_rise_with_the_score_and_anchors_are_on_the_same_scale():
    scores = torch.cat([torch.linspace(-40, 40, 200, dtype=torch.float64), normal(0, 2, 100, 4)])
    log_odds, anchors, _ = judged(scores, ANCHORS)
    assert (log_odds[scores.argsort()].diff() > 0).all()
    assert anchors.argsort().tolist() == ANCHORS.argsort().tolist()
    same = judged(torch.cat([scores, ANCHORS]), ANCHORS)
    assert torch.allclose(same[0][-12:], same[1])


def test_log_odds_are_those_of_the_two_densities_below_the_good_mean():
    groups = Groups(0.7, Normal(0.0, 1.0), Normal(-3.0, 4.0))
    scores = torch.tensor([-5.0, -1.0, 0.0], dtype=torch.float64)
    good = torch.distributions.Normal(0.0, 1.0).log_prob(scores) + torch.tensor(0.7).log()
    low = torch.distributions.Normal(-3.0, 2.0).log_prob(scores) + torch.tensor(0.3).log()
    assert torch.allclose(groups.log_odds(scores), (good - low).double(), atol=1e-6)
    wanted = torch.logaddexp(good, low).sum()
    assert groups.log_likelihood(scores) == pytest.approx(float(wanted), abs=1e-5)


def test_a_prior_counts_as_many_samples_as_its_strength():
    found = Normal(0.0, 1.0).updated(torch.tensor([4.0, 4.0]), torch.tensor([1.0, 1.0]), strength=2)
    assert found.mean == pytest.approx(2.0)
    assert found.variance == pytest.approx((2 * 4 + 2 * (1 + 4)) / 4)


def test_few_samples_and_one_anchor_are_judged():
    log_odds, anchors, _ = judged(torch.tensor([1.0]), torch.tensor([0.5]))
    assert torch.isfinite(torch.cat([log_odds, anchors])).all()
