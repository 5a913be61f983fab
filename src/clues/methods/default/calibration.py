"""The weight of each feature, learnt from public samples: clean ones against corrupted copies of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

Odds = Callable[[Tensor], Tensor]  # samples × features → samples × corruption types
FAR = 4.0  # standard deviations beyond which a feature carries no more information
BLOCK = 2**16  # samples whose temporary values are in memory at once
PENALTY = 10.0  # on squared weights, as there may be few public samples


def standardised(features: Tensor, domains: Sequence[Any] | np.ndarray, *, clean: Tensor) -> Tensor:
    """Features in standard deviations of the clean public samples, centred at those of the sample's domain.

    A missing value, NaN, becomes 0, the mean of clean samples.

    Args:
        features: samples × features. domains: of each sample; each has clean samples. clean: samples, bool.
    """
    codes, centred = torch.from_numpy(np.unique(domains, return_inverse=True)[1]), features.to(torch.float64, copy=True)
    centres = torch.stack([centred[clean & (codes == code)].nanmean(0) for code in range(int(codes.max()) + 1)])
    for rows, row_codes in zip(centred.split(BLOCK), codes.split(BLOCK), strict=True):
        rows -= centres[row_codes]
    measured = centred[clean].nan_to_num() if centred.isnan().any() else centred[clean]
    scale = measured.std(0, correction=0).clamp(min=torch.finfo(torch.float32).tiny)
    return centred.div_(scale).nan_to_num_()


def fitted(features: Tensor, *, good: Tensor, by_type: Sequence[Tensor]) -> Odds:
    """The log-odds of being good rather than corrupted, fitted per corruption type, as types show in other features.

    Args:
        features: samples × features, standardised, higher is better. good: samples, bool. by_type: for each corruption
            type, samples, bool.
    """
    weights = np.stack([_weights(features, good, corrupted) for corrupted in by_type])
    return lambda features: in_blocks(lambda part: torch.from_numpy(_terms(part) @ weights.T), features)


def in_blocks(compute: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """`compute` of rows, a block at a time, so that temporary values of a large client do not add up."""
    if len(rows) <= BLOCK:
        return compute(rows)
    first = compute(rows[:BLOCK])
    result = first.new_empty(len(rows), *first.shape[1:])
    result[:BLOCK] = first
    for start in range(BLOCK, len(rows), BLOCK):
        result[start : start + BLOCK] = compute(rows[start : start + BLOCK])
    return result


def against_all(odds: Tensor, shares: Tensor) -> Tensor:
    """The log-odds of being good rather than corrupted, where corruption types have these shares.

    Odds are ratios of densities here, and the density of corrupted samples is the weighted mean over the types.

    Args:
        odds: samples × types. shares: types, with sum 1.
    """
    return in_blocks(lambda part: -(shares.log() - part).logsumexp(1), odds)


def _weights(features: Tensor, good: Tensor, corrupted: Tensor) -> np.ndarray:
    """Logistic regression of `good` against `corrupted` rows, both classes with equal total weight: terms.

    All weights but the last, the constant's, are at least 0: a higher feature never lowers the odds.
    """
    used = good | corrupted
    terms, target = _terms(features[used]), np.where(good[used].numpy(), 1.0, -1.0)
    share = np.where(target > 0, 0.5 / (target > 0).sum(), 0.5 / (target < 0).sum()) * len(target)
    penalties = np.append(np.full(terms.shape[1] - 1, PENALTY), 0.0)

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = target * (terms @ weights)
        slope = -share * target / (1 + np.exp(margin))
        loss = float((share * np.logaddexp(0, -margin)).sum() + (penalties * weights**2).sum() / 2)
        return loss, terms.T @ slope + penalties * weights

    bounds = [(0.0, None)] * (terms.shape[1] - 1) + [(None, None)]
    exact = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000}  # or rounding of the features would show in the scores
    result = minimize(cost, np.zeros(terms.shape[1]), jac=True, method="L-BFGS-B", bounds=bounds, options=exact)
    return np.asarray(result.x)


def _terms(features: Tensor) -> np.ndarray:
    """Each feature, its part below the usual range, so that a single one can mark a sample as low quality; and 1."""
    features = features.double()
    parts = (features.clamp(-FAR, FAR / 2), (features + 1).clamp(1 - FAR, 0), torch.ones(len(features), 1))
    return torch.cat(parts, dim=1).numpy()
