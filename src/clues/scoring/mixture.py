"""What signals say of quality at one client, whose samples differ from public ones in more than quality.

Good and low-quality samples are two normal distributions of the log-odds learnt on public samples. But institutions
differ: another style, longer answers, rarer words, and all good samples of one lie elsewhere; and each has its own
share of good samples. So each client moves the signals' centre to its own good samples and fits both distributions
to what it has, by expectation maximisation (Saerens et al., Neural Computation 14, 2002, for the share; McLachlan
and Peel, Finite Mixture Models, 2000) that starts at the public ones and is held near them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clues.scoring.calibration import FAR, LogOdds

# How many samples of each kind the public distributions count as, and how many good ones the public centre.
STRENGTH, CENTRE_STRENGTH = 4.0, 20.0
STEPS, ROUNDS = 100, 15
LEAST_VARIANCE = 0.01


@dataclass(frozen=True)
class Normal:
    mean: float
    variance: float

    def log_density(self, scores: Tensor) -> Tensor:
        return -0.5 * ((scores - self.mean) ** 2 / self.variance + math.log(self.variance))

    @property
    def at_mean(self) -> float:
        return -0.5 * math.log(self.variance)


@dataclass(frozen=True)
class Mixture:
    """`share`: of good samples."""

    share: float
    good: Normal
    low: Normal

    def log_odds(self, scores: Tensor) -> Tensor:
        """Of being good: samples. It rises with the score: better than good ones mostly are is good, and so below."""
        good = torch.where(scores > self.good.mean, self.good.at_mean, self.good.log_density(scores))
        low = torch.where(scores < self.low.mean, self.low.at_mean, self.low.log_density(scores))
        return good - low + math.log(self.share / (1 - self.share))


def public_mixture(good: Tensor, low: Tensor) -> Mixture:
    """Of public samples' scores (samples of each kind), as if both kinds were equally frequent."""
    return Mixture(0.5, _normal(good), _normal(low))


def log_odds_at_client(signals: Tensor, log_odds: LogOdds, public: Mixture) -> Tensor:
    """Of being good, at the client whose samples these are: samples × signals → samples."""
    near = signals.clamp(-FAR, FAR)
    centre = torch.zeros_like(signals[0])
    for _ in range(ROUNDS):
        scores = log_odds(signals - centre)
        good = fitted_mixture(scores, public).log_odds(scores).sigmoid()
        found = good @ near / (good.sum() + CENTRE_STRENGTH)
        centre = (centre + found) / 2
    scores = log_odds(signals - centre)
    return fitted_mixture(scores, public).log_odds(scores)


def fitted_mixture(scores: Tensor, public: Mixture) -> Mixture:
    """The mixture that scores are of: samples. One sample more of each kind is counted for the share."""
    mixture = public
    for _ in range(STEPS):
        good = mixture.log_odds(scores).sigmoid()
        share = (float(good.sum()) + 1) / (len(scores) + 2)
        mixture = Mixture(share, _moved(public.good, scores, good), _moved(public.low, scores, 1 - good))
    return mixture


def _normal(scores: Tensor) -> Normal:
    scores = scores.double()
    return Normal(float(scores.mean()), max(float(scores.var(correction=0)), LEAST_VARIANCE))


def _moved(public: Normal, scores: Tensor, weights: Tensor) -> Normal:
    total = float(weights.sum()) + STRENGTH
    mean = (float(weights @ scores) + STRENGTH * public.mean) / total
    variance = (float(weights @ (scores - mean) ** 2) + STRENGTH * public.variance) / total
    return Normal(mean, variance)
