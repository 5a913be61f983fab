"""Two groups of samples, those like the clean ones and the rest; or one, where scores do not tell them apart.

Scores of good samples are normally distributed as those of clean samples are. Those of low-quality samples are lower
and spread more widely; nothing else is assumed of them. The mixture of both is fitted to a client's scores by
expectation-maximisation, with the clean samples as prior of the good group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

DISTANCE = 3.0  # the prior of the low group: its mean below that of clean samples, in their standard deviations,
SPREAD = 2.0  # its standard deviation, in those of clean samples,
WEIGHT = 0.1  # and its weight, as a share of the client's samples
EVIDENCE = 2.0  # the log-likelihood ratio from which on scores tell two groups apart, in nats
TAIL = 2.5  # where they do not: samples are dropped from here on, in those of clean samples below their mean
LEAST_VARIANCE = (
    0.25  # of clean samples, as a few may be alike by chance; the sum of features has a variance of about 10
)
STEPS = 50


@dataclass(frozen=True)
class Normal:
    mean: float
    variance: float

    def log_density(self, scores: Tensor) -> Tensor:
        return -((scores - self.mean) ** 2 / self.variance + math.log(2 * math.pi * self.variance)) / 2

    def updated(self, scores: Tensor, weights: Tensor, *, strength: float) -> Normal:
        """Fitted to weighted scores, with this one as prior of the weight `strength`."""
        total = float(weights.sum()) + strength
        mean = (float(weights @ scores) + strength * self.mean) / total
        squares = float(weights @ (scores - mean) ** 2) + strength * (self.variance + (self.mean - mean) ** 2)
        return Normal(mean, squares / total)


@dataclass(frozen=True)
class Groups:
    """A mixture: `share` of the samples are good."""

    share: float
    good: Normal
    low: Normal

    def log_odds(self, scores: Tensor) -> Tensor:
        """Of being good; they rise with the score, above the mean of the good group in proportion to it."""
        below, above = scores.clamp(max=self.good.mean), (scores - self.good.mean).clamp(min=0)
        odds = math.log(self.share / (1 - self.share)) + self.good.log_density(below) - self.low.log_density(below)
        return odds + above * (self.good.mean - self.low.mean) / self.low.variance

    def log_likelihood(self, scores: Tensor) -> float:
        good = math.log(self.share) + self.good.log_density(scores)
        low = math.log(1 - self.share) + self.low.log_density(scores)
        return float(torch.logaddexp(good, low).sum())


def judged(scores: Tensor, clean: Tensor) -> tuple[Tensor, Tensor, bool]:
    """The log-odds of being good, of a client's samples and of clean ones, and whether scores tell two groups apart.

    Where they do not, the log-odds are negative for samples more than `TAIL` standard deviations below the mean of
    clean ones.
    """
    scores, clean = scores.double(), clean.double()
    like = Normal(float(clean.mean()), max(float(clean.var(correction=0)), LEAST_VARIANCE))
    groups = fitted(scores, like, clean=len(clean))
    one = like.updated(scores, torch.ones_like(scores), strength=len(clean))
    if groups.log_likelihood(scores) - float(one.log_density(scores).sum()) >= EVIDENCE:
        return groups.log_odds(scores), groups.log_odds(clean), True
    deviation = math.sqrt(like.variance)
    odds, of_clean = ((part - like.mean) / deviation + TAIL for part in (scores, clean))
    return odds, of_clean, False


def fitted(scores: Tensor, like: Normal, *, clean: int) -> Groups:
    """The mixture of a client's scores.

    Args:
        like: the scores of clean samples. clean: their number.
    """
    deviation = math.sqrt(like.variance)
    below = Normal(like.mean - DISTANCE * deviation, SPREAD**2 * like.variance)
    groups = Groups(0.5, like, below)
    for _ in range(STEPS):
        good = groups.log_odds(scores).sigmoid()
        share = (float(good.sum()) + 1) / (len(scores) + 2)
        updated = like.updated(scores, good, strength=clean)
        low = below.updated(scores, 1 - good, strength=max(WEIGHT * len(scores), 2.0))
        # The low group stays lower and wider, or its name would be wrong.
        mean = min(low.mean, updated.mean - math.sqrt(updated.variance) / 2)
        groups = Groups(share, updated, Normal(mean, max(low.variance, updated.variance)))
    return groups
