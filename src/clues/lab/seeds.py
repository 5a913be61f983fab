"""Statistics over seeds: means with standard errors, and shares of a gain."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from clues.lab.rows import LEAST_GAIN, Row


def by_seed(
    rows: Sequence[Row], column: str, *, reduce: Callable[[list[float]], float] = statistics.fmean
) -> dict[int, float]:
    """By seed, the values of its rows (clients, domains), reduced to one; seeds without values are omitted."""
    values: dict[int, list[float]] = {}
    for row in rows:
        if row.get(column) is not None:
            values.setdefault(row["seed"], []).append(row[column])
    return {seed: reduce(of_seed) for seed, of_seed in values.items()}


def mean_and_error(values: Iterable[float]) -> tuple[float, float | None] | None:
    """(mean, standard error); the error of a single value is None, and so is the result of no values."""
    sample = list(values)
    if not sample:
        return None
    return statistics.fmean(sample), statistics.stdev(sample) / len(sample) ** 0.5 if len(sample) > 1 else None


def share_of_gain(rows: Sequence[Row], gain: str, oracle: str) -> tuple[float, float | None] | None:
    """Mean of column `gain` over mean of column `oracle`, with its standard error; None without a gain of the oracle.

    A ratio of means: a mean of the seeds' ratios would be dominated by the seed with the oracle's smallest gain. Its
    error is that of the ratio estimator, sd(gain − R·oracle) / (√n · mean(oracle)) (Cochran, Sampling Techniques,
    chapter 2). The oracle has no gain if its mean is below two standard errors, or below `LEAST_GAIN`.
    """
    possible, achieved = by_seed(rows, oracle), by_seed(rows, gain)
    seeds = sorted(possible.keys() & achieved.keys())
    of_oracle = mean_and_error(possible[seed] for seed in seeds)
    if of_oracle is None or of_oracle[0] < max(LEAST_GAIN, 2 * (of_oracle[1] or 0.0)):
        return None
    share = statistics.fmean(achieved[seed] for seed in seeds) / of_oracle[0]
    if len(seeds) == 1:
        return share, None
    residuals = [achieved[seed] - share * possible[seed] for seed in seeds]  # their mean is 0
    variance = sum(residual**2 for residual in residuals) / (len(seeds) - 1)
    return share, (variance / len(seeds)) ** 0.5 / of_oracle[0]
