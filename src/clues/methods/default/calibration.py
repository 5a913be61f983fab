"""How much each signal tells of quality, learnt from public samples: clean ones against damaged copies of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

Odds = Callable[[Tensor], Tensor]  # samples × signals → samples × ways of damage
FAR = 4.0  # standard deviations beyond which a signal tells no more
BLOCK = 2**16  # samples whose temporary values are in memory at once
PENALTY = 10.0  # of the squares of weights, where public samples are few


def standardised(signals: Tensor, domains: Sequence[Any] | np.ndarray, clean: Tensor) -> Tensor:
    """Signals in standard deviations of the clean public samples, centred at those of the sample's own domain.

    What was not measured of a sample, NaN, is as clean samples are: 0.

    Args:
        signals: samples × signals. domains: of each sample, one that has clean samples. clean: samples, bool.
    """
    codes, centred = torch.from_numpy(np.unique(domains, return_inverse=True)[1]), signals.double()
    if centred is signals:
        centred = signals.clone()
    centres = torch.stack([centred[clean & (codes == code)].nanmean(0) for code in range(int(codes.max()) + 1)])
    for rows, own in zip(centred.split(BLOCK), codes.split(BLOCK), strict=True):
        rows -= centres[own]
    measured = centred[clean].nan_to_num() if centred.isnan().any() else centred[clean]
    scale = measured.std(0, correction=0).clamp(min=torch.finfo(torch.float32).tiny)
    return centred.div_(scale).nan_to_num_()


def fitted(signals: Tensor, good: Tensor, damages: Sequence[Tensor]) -> Odds:
    """The log-odds of being good rather than damaged, for every way of damage on its own, as each shows elsewhere.

    Args:
        signals: samples × signals, standardised, more is better. good: samples, bool. damages: the same, of each way.
    """
    weights = np.stack([_weights(signals, good, damaged) for damaged in damages])
    return lambda signals: in_blocks(lambda part: torch.from_numpy(_features(part) @ weights.T), signals)


def in_blocks(compute: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """`compute` of rows, a block at a time."""
    if len(rows) <= BLOCK:
        return compute(rows)
    first = compute(rows[:BLOCK])
    result = first.new_empty(len(rows), *first.shape[1:])
    result[:BLOCK] = first
    for start in range(BLOCK, len(rows), BLOCK):
        result[start : start + BLOCK] = compute(rows[start : start + BLOCK])
    return result


def against_all(odds: Tensor, shares: Tensor) -> Tensor:
    """The log-odds of being good rather than damaged in any way, where the ways have these shares of damaged samples.

    Odds are ratios of densities here, and the density of damaged samples is the mean over the ways.

    Args:
        odds: samples × ways. shares: ways, of sum 1.
    """
    return in_blocks(lambda part: -(shares.log() - part).logsumexp(1), odds)


def _weights(signals: Tensor, good: Tensor, damaged: Tensor) -> np.ndarray:
    """Logistic regression of `good` against `damaged` rows, which count the same in sum: features.

    All weights but the last, a constant's, are at least 0: no signal may count against its meaning.
    """
    used = good | damaged
    features, target = _features(signals[used]), np.where(good[used].numpy(), 1.0, -1.0)
    share = np.where(target > 0, 0.5 / (target > 0).sum(), 0.5 / (target < 0).sum()) * len(target)
    penalties = np.append(np.full(features.shape[1] - 1, PENALTY), 0.0)

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = target * (features @ weights)
        slope = -share * target / (1 + np.exp(margin))
        loss = float((share * np.logaddexp(0, -margin)).sum() + (penalties * weights**2).sum() / 2)
        return loss, features.T @ slope + penalties * weights

    bounds = [(0.0, None)] * (features.shape[1] - 1) + [(None, None)]
    exact = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000}  # or rounding of the signals would show in the scores
    found = minimize(cost, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds, options=exact)
    return np.asarray(found.x)


def _features(signals: Tensor) -> np.ndarray:
    """Every signal as it is and once more below its usual range, so that one alone can condemn a sample; and 1."""
    signals = signals.double()
    parts = (signals.clamp(-FAR, FAR / 2), (signals + 1).clamp(1 - FAR, 0), torch.ones(len(signals), 1))
    return torch.cat(parts, dim=1).numpy()
