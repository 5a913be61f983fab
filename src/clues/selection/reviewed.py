"""Selecting with a few samples that their owner has judged: the score is the prior, the judgements are the evidence.

The log-odds of being good are those of the score times a slope, plus an offset and a weight for each feature. These
parameters have Gaussian priors at slope 1, offset 0 and weights 0, so that without judgements the score stays as it is;
judgements move them to the maximum of the posterior.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

SLOPE, OFFSET, WEIGHT = 0.5, 2.0, 0.5  # standard deviations of the priors
CERTAIN = 5.0  # log-odds beyond which the score alone is not believed


def updated_log_odds(log_odds: np.ndarray, features: np.ndarray, *, judged: Mapping[int, bool]) -> np.ndarray:
    """The log-odds of being good given the score and the judgements: samples.

    Args:
        log_odds: by the score: samples. features: samples × features, in units of clean samples' spread.
        judged: whether a sample is good, by row.
    """
    score = log_odds.clip(-CERTAIN, CERTAIN)
    terms = np.column_stack([score, np.ones(len(score)), features - features.mean(0)])
    rows, sign = list(judged), np.array([1.0 if good else -1.0 for good in judged.values()])
    prior = np.array([1.0, *[0.0] * (terms.shape[1] - 1)])
    deviation = np.array([SLOPE, OFFSET, *[WEIGHT] * features.shape[1]])

    def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        margin, distance = sign * (terms[rows] @ parameters), (parameters - prior) / deviation
        slope = -terms[rows].T @ (sign / (1 + np.exp(margin))) + distance / deviation
        return float(np.logaddexp(0, -margin).sum() + (distance**2).sum() / 2), slope

    bounds = [(0.0, None), *[(None, None)] * (len(prior) - 1)]  # the score never counts against a sample
    exact = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000}
    found = minimize(cost, prior, jac=True, method="L-BFGS-B", bounds=bounds, options=exact)
    updated: np.ndarray = terms @ found.x
    return updated


def best_limit(log_odds: np.ndarray) -> float:
    """The lowest log-odds to keep, so that the expected F1 of what is kept is greatest.

    With k samples kept, of the probabilities p of being good, it is 2 Σ_kept p / (k + Σ_all p).
    """
    ordered = -np.sort(-log_odds)
    good = expit(ordered)
    expected = 2 * good.cumsum() / (np.arange(1, len(good) + 1) + good.sum())
    return float(ordered[expected.argmax()])


def worth_reviewing(log_odds: np.ndarray, count: int) -> list[int]:
    """Rows at equal distances in the order of the scores: they show where good samples end, and how many there are.

    They come in an order in which the first few, however many, cover the scores too: the middle, the quarters, and on.
    """
    order = log_odds.argsort(kind="stable")
    places = np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)).tolist()
    parts, rows = [places], []
    for part in parts:
        if part:
            middle = len(part) // 2
            rows.append(int(order[part[middle]]))
            parts += [part[:middle], part[middle + 1 :]]
    return rows
