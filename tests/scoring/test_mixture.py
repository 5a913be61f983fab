"""Where good and low-quality scores lie at a client: found again in samples drawn from what is known."""

from __future__ import annotations

import pytest
import torch

from clues.scoring.mixture import Mixture, Normal, fitted_mixture, log_odds_at_client, public_mixture

PUBLIC = Mixture(0.5, Normal(3.0, 2.0), Normal(-3.0, 4.0))


def drawn(good: int, low: int, shift: float = 0.0) -> torch.Tensor:
    """The quantiles of the public distributions, moved by `shift`."""
    kinds = ((good, PUBLIC.good), (low, PUBLIC.low))
    normal = torch.distributions.Normal(0.0, 1.0)
    return torch.cat([normal.icdf((torch.arange(n) + 0.5) / n) * k.variance**0.5 + k.mean + shift for n, k in kinds])


def test_public_scores_give_their_means_and_variances():
    found = public_mixture(torch.tensor([1.0, 3.0]), torch.tensor([-4.0, -4.0]))
    assert (found.good.mean, found.good.variance, found.low.mean) == (2.0, 1.0, -4.0)
    assert found.low.variance > 0


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
    assert right[0] > 0.93
    assert right[0] > right[1]


def test_where_nothing_is_bad_nearly_all_is_kept():
    scores = drawn(100, 1)[:100] - 1.0
    assert (fitted_mixture(scores, PUBLIC).log_odds(scores) > 0).double().mean() > 0.95


def test_log_odds_rise_with_the_score():
    scores = torch.linspace(-30, 30, 400, dtype=torch.float64)
    for mixture in (PUBLIC, fitted_mixture(drawn(30, 3), PUBLIC)):
        assert (mixture.log_odds(scores).diff() > 0).all()


def test_one_sample_and_public_scores_without_any_spread_are_no_error():
    mixture = fitted_mixture(torch.tensor([1.0]), public_mixture(torch.ones(3), torch.ones(3)))
    assert mixture.log_odds(torch.tensor([1.0, 0.0])).isfinite().all()


def test_the_centre_of_the_signals_moves_to_the_clients_own_good_samples():
    generator = torch.Generator().manual_seed(0)
    signals, truth = torch.randn(200, 3, generator=generator, dtype=torch.float64), torch.arange(200) < 120
    signals[~truth, 0] -= 5.0
    style = torch.tensor([0.0, 0.0, -3.0])  # the third signal has nothing to do with quality here

    def log_odds(signals):
        return 3.0 + signals.sum(1)

    found = log_odds_at_client(signals + style, log_odds, PUBLIC)
    right = [((scores > 0) == truth).double().mean() for scores in (found, log_odds(signals + style))]
    assert right[0] > 0.85
    assert right[0] > right[1] + 0.1
