"""Figures over seeds: means with their standard errors, and shares of a gain."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from clues.lab.rows import LEAST_GAIN, Row


def by_seed(
    rows: Sequence[Row], column: str, together: Callable[[list[float]], float] = statistics.fmean
) -> dict[int, float]:
    """By seed, the values of its rows (clients, domains) taken together; seeds without a value are left out."""
    values: dict[int, list[float]] = {}
    for row in rows:
        if row.get(column) is not None:
            values.setdefault(row["seed"], []).append(row[column])
    return {seed: together(found) for seed, found in values.items()}


def mean_and_error(values: Iterable[float]) -> tuple[float, float | None] | None:
    """(mean, standard error); no error of a single value, None of no value."""
    found = list(values)
    if not found:
        return None
    return statistics.fmean(found), statistics.stdev(found) / len(found) ** 0.5 if len(found) > 1 else None


def share_of_gain(rows: Sequence[Row], own: str, oracle: str) -> tuple[float, float | None] | None:
    """Mean of `own` over mean of `oracle`, with its standard error; None where the oracle gains nothing.

    A ratio of means: a mean of the seeds' ratios would be ruled by the seed whose oracle happens to gain least. Its
    error is that of the ratio estimator, sd(own − R·oracle) / (√n · mean(oracle)) (Cochran, Sampling Techniques,
    chapter 2). The oracle gains nothing where its mean is below two of its own standard errors, or below `LEAST_GAIN`.
    """
    gains, found = by_seed(rows, oracle), by_seed(rows, own)
    seeds = sorted(gains.keys() & found.keys())
    gain = mean_and_error(gains[seed] for seed in seeds)
    if gain is None or gain[0] < max(LEAST_GAIN, 2 * (gain[1] or 0.0)):
        return None
    share = statistics.fmean(found[seed] for seed in seeds) / gain[0]
    if len(seeds) == 1:
        return share, None
    residuals = [found[seed] - share * gains[seed] for seed in seeds]  # their mean is 0
    variance = sum(residual**2 for residual in residuals) / (len(seeds) - 1)
    return share, (variance / len(seeds)) ** 0.5 / gain[0]
