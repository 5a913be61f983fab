"""Where good and low-quality scores lie at a client: found again in samples drawn from what is known."""

from __future__ import annotations

import pytest
import torch

from clues.methods.default.prior import Mixture, Normal, PublicOdds, fitted_mixture, log_odds_at_client

PUBLIC = Mixture(0.5, Normal(3.0, 2.0), Normal(-3.0, 4.0))


def drawn(good: int, low: int, shift: float = 0.0) -> torch.Tensor:
    """The quantiles of the public distributions, moved by `shift`."""
    kinds = ((good, PUBLIC.good), (low, PUBLIC.low))
    normal = torch.distributions.Normal(0.0, 1.0)
    return torch.cat([normal.icdf((torch.arange(n) + 0.5) / n) * k.variance**0.5 + k.mean + shift for n, k in kinds])


def public(good: list[float], *ways: list[float]) -> PublicOdds:
    """Of samples whose odds against every way are the same numbers, and equal their first signal."""

    def odds(scores: torch.Tensor) -> torch.Tensor:
        return scores[:, None].expand(-1, len(ways)).double()

    return PublicOdds(
        lambda signals: odds(signals[:, 0]), odds(torch.tensor(good)), [odds(torch.tensor(w)) for w in ways]
    )


def test_public_scores_give_their_means_and_variances():
    known = public([1.0, 3.0], [-4.0, -4.0])
    found = known.mixture(known.equal_shares)
    assert (found.good.mean, found.good.variance, found.low.mean) == (2.0, 1.0, -4.0)
    assert found.low.variance > 0


def test_public_low_quality_is_weighed_by_what_occurs():
    known = public([1.0], [-2.0], [-6.0, -6.0])
    assert known.mixture(torch.tensor([0.75, 0.25])).low.mean == pytest.approx(-3.0)


@pytest.mark.parametrize("good", [20, 100, 180])
def test_the_share_of_good_samples_is_found(good):
    assert fitted_mixture(drawn(good, 200 - good), PUBLIC).share == pytest.approx(good / 200, abs=0.06)


@pytest.mark.parametrize("shift", [-2.0, 2.0])
def test_a_client_whose_scores_all_lie_elsewhere(shift):
    scores, truth = drawn(100, 100, shift), torch.arange(200) < 100
    right = [
        ((mixture.log_odds(scores) > 0) == truth).double().mean()
        for mixture in (fitted_mixture(scores, PUBLIC), PUBLIC)
    ]
    assert right[0] > 0.84
    assert right[0] > right[1]


def test_where_nothing_is_bad_nearly_all_is_kept():
    scores = drawn(100, 1)[:100] - 1.0
    assert (fitted_mixture(scores, PUBLIC).log_odds(scores) > 0).double().mean() > 0.95


def test_a_client_of_any_size_is_read_alike():
    scores = drawn(4, 16)
    small, large = (fitted_mixture(scores.repeat(times), PUBLIC).log_odds(scores) for times in (1, 20))
    assert torch.equal(small > 0, large > 0)
    tail = torch.cat([drawn(100, 1)[:100], torch.linspace(-2.0, 0.0, 20)])  # good samples of a client are never normal
    assert (fitted_mixture(tail, PUBLIC).log_odds(tail) > 0).double().mean() > 0.95


def test_log_odds_rise_with_the_score():
    scores = torch.linspace(-30, 30, 400, dtype=torch.float64)
    for mixture in (PUBLIC, fitted_mixture(drawn(30, 3), PUBLIC)):
        assert (mixture.log_odds(scores).diff() > 0).all()


def test_one_sample_and_public_scores_without_any_spread_are_no_error():
    known = public([1.0] * 3, [1.0] * 3)
    mixture = fitted_mixture(torch.tensor([1.0]), known.mixture(known.equal_shares))
    assert mixture.log_odds(torch.tensor([1.0, 0.0])).isfinite().all()
    assert log_odds_at_client(torch.ones(1, 1, dtype=torch.float64), known).isfinite().all()


def known_of_three_signals() -> PublicOdds:
    """Good samples lie around 0 in three signals; each of two ways of damage shows in one of the first two."""
    generator = torch.Generator().manual_seed(1)
    clean = torch.randn(100, 3, generator=generator, dtype=torch.float64)

    def odds(signals: torch.Tensor) -> torch.Tensor:
        return 3.0 + 2.0 * signals[:, :2] + signals[:, 2:]

    ways = [clean - 4.0 * torch.eye(3, dtype=torch.float64)[way] for way in range(2)]
    return PublicOdds(odds, odds(clean), [odds(way) for way in ways])


def test_the_centre_of_the_signals_moves_to_the_clients_own_good_samples():
    known, generator = known_of_three_signals(), torch.Generator().manual_seed(0)
    signals, truth = torch.randn(200, 3, generator=generator, dtype=torch.float64), torch.arange(200) < 120
    signals[~truth, 0] -= 4.0
    signals[:, 2] -= 3.0  # has nothing to do with quality here
    found = log_odds_at_client(signals, known)
    right = [((scores > 0) == truth).double().mean() for scores in (found, known.log_odds(signals))]
    assert right[0] > 0.9
    assert right[0] > right[1] + 0.1


def test_odds_rest_on_the_ways_of_damage_that_occur():
    known, generator = known_of_three_signals(), torch.Generator().manual_seed(0)
    signals, truth = torch.randn(200, 3, generator=generator, dtype=torch.float64), torch.arange(200) < 100
    signals[~truth, 0] -= 3.0
    found = log_odds_at_client(signals, known)

    def tells(scores: torch.Tensor) -> float:
        return float((scores[truth][:, None] > scores[~truth]).double().mean())

    equally, best = tells(known.log_odds(signals)), tells(known.odds(signals)[:, 0])  # best: of the first way alone
    assert tells(found) > (equally + best) / 2 > equally
