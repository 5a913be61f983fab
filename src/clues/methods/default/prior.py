"""What signals say of quality at one client, whose samples differ from public ones in more than quality.

Good and low-quality samples are two normal distributions of the log-odds learnt on public samples. But institutions
differ: another style, longer answers, rarer words, and all good samples of one lie elsewhere; and each has its own
share of good samples and its own kinds of damage. So each client moves the signals' centre to its own good samples,
weighs the ways of damage by how often they occur, and fits both distributions to what it has, by expectation
maximisation (Saerens et al., Neural Computation 14, 2002, for the shares; McLachlan and Peel, Finite Mixture Models,
2000) that starts at the public ones and is held near them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clues.methods.default.calibration import BLOCK, FAR, Odds, against_all, in_blocks

# How many samples the public distributions, of each kind, and the public centre count as, in shares of the client's own
# number. Were it a fixed number, a large client would fit both to itself, and find low quality where there is none.
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
        """Of being good: samples. It rises with the score: better than good ones mostly are is good, and so below."""
        return in_blocks(self._log_odds, scores)

    def _log_odds(self, scores: Tensor) -> Tensor:
        good = torch.where(scores > self.good.mean, self.good.at_mean, self.good.log_density(scores))
        low = torch.where(scores < self.low.mean, self.low.at_mean, self.low.log_density(scores))
        return good - low + math.log(self.share / (1 - self.share))


@dataclass(frozen=True)
class PublicOdds:
    """What public samples show: how odds follow from signals, and those of clean and of damaged samples, by way."""

    odds: Odds
    good: Tensor  # samples × ways
    damaged: Sequence[Tensor]  # the same, of each way

    @property
    def equal_shares(self) -> Tensor:
        return torch.full((len(self.damaged),), 1 / len(self.damaged), dtype=torch.float64)

    def mixture(self, shares: Tensor) -> Mixture:
        """Of the log-odds against ways of these shares, as if good and low quality were equally frequent."""
        good = against_all(self.good, shares)
        low = torch.cat([against_all(odds, shares) for odds in self.damaged])
        weights = [torch.full((len(o),), float(s) / len(o)) for o, s in zip(self.damaged, shares, strict=True)]
        return Mixture(0.5, _normal(good, torch.ones(len(good))), _normal(low, torch.cat(weights)))

    def log_odds(self, signals: Tensor) -> Tensor:
        """Of being good, of samples like the public ones and their copies: samples × signals → samples."""
        shares = self.equal_shares
        return self.mixture(shares).log_odds(against_all(self.odds(signals), shares))


def log_odds_at_client(signals: Tensor, public: PublicOdds) -> Tensor:
    """Of being good, at the client whose samples these are: samples × signals → samples."""
    centre, shares = torch.zeros_like(signals[0]), public.equal_shares
    for _ in range(ROUNDS):
        odds = _odds(signals, centre, public)
        good = _log_odds(odds, public, shares).sigmoid()
        shares = _shares(odds, shares, 1 - good)
        del odds  # the largest of what a large client holds here
        moved = sum(g @ part.clamp(-FAR, FAR) for g, part in zip(good.split(BLOCK), signals.split(BLOCK), strict=True))
        centre = (centre + moved / (good.sum() + CENTRE_STRENGTH * len(signals))) / 2
    return _log_odds(_odds(signals, centre, public), public, shares)


def _odds(signals: Tensor, centre: Tensor, public: PublicOdds) -> Tensor:
    return in_blocks(lambda part: public.odds(part - centre), signals)


def _log_odds(odds: Tensor, public: PublicOdds, shares: Tensor) -> Tensor:
    scores = against_all(odds, shares)
    return fitted_mixture(scores, public.mixture(shares)).log_odds(scores)


def _shares(odds: Tensor, shares: Tensor, low: Tensor) -> Tensor:
    """The ways' shares of the samples that are of low quality with probability `low`; one more is counted of each."""
    parts = zip(low.split(BLOCK), odds.split(BLOCK), strict=True)
    counts = sum((part @ (shares.log() - each).softmax(1) for part, each in parts), torch.zeros(())) + 1
    return counts / counts.sum()


def fitted_mixture(scores: Tensor, public: Mixture) -> Mixture:
    """The mixture that scores are of: samples. One sample more of each kind is counted for the share."""
    mixture = public
    for _ in range(STEPS):
        good = mixture.log_odds(scores).sigmoid_()
        share = (float(good.sum()) + 1) / (len(scores) + 2)
        mixture = Mixture(share, _moved(public.good, scores, good), _moved(public.low, scores, 1 - good))
    return mixture


def _normal(scores: Tensor, weights: Tensor) -> Normal:
    scores, weights = scores.double(), weights.double() / weights.sum()
    mean = float(weights @ scores)
    return Normal(mean, max(float(weights @ (scores - mean) ** 2), LEAST_VARIANCE))


def _moved(public: Normal, scores: Tensor, weights: Tensor) -> Normal:
    strength = STRENGTH * len(scores)
    total = float(weights.sum()) + strength
    mean = (float(weights @ scores) + strength * public.mean) / total
    variance = (float(weights @ (scores - mean) ** 2) + strength * public.variance) / total
    return Normal(mean, variance)
