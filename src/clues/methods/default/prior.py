"""Quality at one client, whose samples differ from public ones in more than quality.

The log-odds learnt on public samples are modelled as a mixture of two normal distributions, good and low quality. But
institutions differ: style, length or vocabulary shift the features of all good samples of one, and each has its own
share of good samples and its own corruption types. So each client centres the features at its own good samples, weights
the corruption types by their frequency, and fits both distributions to its samples by expectation maximisation (Saerens
et al., Neural Computation 14, 2002, for the shares; McLachlan and Peel, Finite Mixture Models, 2000) that starts at the
public distributions and is regularised towards them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clues.methods.default.calibration import BLOCK, FAR, Odds, against_all, in_blocks

# The weight of each public distribution and of the public centre, as a share of the client's number of samples. With a
# fixed weight, a large client would fit both to itself, and find low quality where there is none.
STRENGTH, CENTRE_STRENGTH = 0.2, 1.0
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
        """Of being good: samples. Monotonic, as the density of good is constant above its mean, that of low below."""
        return in_blocks(self._log_odds, scores)

    def _log_odds(self, scores: Tensor) -> Tensor:
        good = torch.where(scores > self.good.mean, self.good.at_mean, self.good.log_density(scores))
        low = torch.where(scores < self.low.mean, self.low.at_mean, self.low.log_density(scores))
        return good - low + math.log(self.share / (1 - self.share))


@dataclass(frozen=True)
class PublicOdds:
    """What public samples show: the odds as a function of features, and those of clean and of corrupted samples."""

    odds: Odds
    good: Tensor  # samples × corruption types
    corrupted: Sequence[Tensor]  # the same, for samples of each type

    @property
    def equal_shares(self) -> Tensor:
        return torch.full((len(self.corrupted),), 1 / len(self.corrupted), dtype=torch.float64)

    def mixture(self, shares: Tensor) -> Mixture:
        """Of the log-odds against types with these shares, as if good and low quality were equally frequent."""
        good = against_all(self.good, shares)
        low = torch.cat([against_all(odds, shares) for odds in self.corrupted])
        weights = [torch.full((len(o),), float(s) / len(o)) for o, s in zip(self.corrupted, shares, strict=True)]
        return Mixture(0.5, _normal(good, torch.ones(len(good))), _normal(low, torch.cat(weights)))

    def log_odds(self, features: Tensor) -> Tensor:
        """Of being good, for samples like the public ones and their copies: samples × features → samples."""
        shares = self.equal_shares
        return self.mixture(shares).log_odds(against_all(self.odds(features), shares))


def log_odds_at_client(features: Tensor, public: PublicOdds) -> Tensor:
    """Of being good, for the samples of one client: samples × features → samples."""
    centre, shares = torch.zeros_like(features[0]), public.equal_shares
    for _ in range(ROUNDS):
        odds = _odds(features, public, centre=centre)
        good = _log_odds(odds, public, shares=shares).sigmoid()
        shares = _shares(odds, shares, 1 - good)
        del odds  # the largest tensor of a large client
        blocks = zip(good.split(BLOCK), features.split(BLOCK), strict=True)
        total = sum(weights @ part.clamp(-FAR, FAR) for weights, part in blocks)
        centre = (centre + total / (good.sum() + CENTRE_STRENGTH * len(features))) / 2
    return _log_odds(_odds(features, public, centre=centre), public, shares=shares)


def _odds(features: Tensor, public: PublicOdds, *, centre: Tensor) -> Tensor:
    return in_blocks(lambda part: public.odds(part - centre), features)


def _log_odds(odds: Tensor, public: PublicOdds, *, shares: Tensor) -> Tensor:
    scores = against_all(odds, shares)
    return fitted_mixture(scores, public.mixture(shares)).log_odds(scores)


def _shares(odds: Tensor, shares: Tensor, low: Tensor) -> Tensor:
    """The types' shares among samples that are of low quality with probability `low`, with one pseudo-count each."""
    blocks = zip(low.split(BLOCK), odds.split(BLOCK), strict=True)
    counts = sum((part @ (shares.log() - each).softmax(1) for part, each in blocks), torch.zeros(())) + 1
    return counts / counts.sum()


def fitted_mixture(scores: Tensor, public: Mixture) -> Mixture:
    """The mixture fitted to scores: samples. The share has one pseudo-count for each of the two."""
    mixture = public
    for _ in range(STEPS):
        good = mixture.log_odds(scores).sigmoid_()
        share = (float(good.sum()) + 1) / (len(scores) + 2)
        mixture = Mixture(
            share, _update(public.good, scores, weights=good), _update(public.low, scores, weights=1 - good)
        )
    return mixture


def _normal(scores: Tensor, weights: Tensor) -> Normal:
    scores, weights = scores.double(), weights.double() / weights.sum()
    mean = float(weights @ scores)
    return Normal(mean, max(float(weights @ (scores - mean) ** 2), LEAST_VARIANCE))


def _update(public: Normal, scores: Tensor, *, weights: Tensor) -> Normal:
    strength = STRENGTH * len(scores)
    total = float(weights.sum()) + strength
    mean = (float(weights @ scores) + strength * public.mean) / total
    variance = (float(weights @ (scores - mean) ** 2) + strength * public.variance) / total
    return Normal(mean, variance)
