"""Whether one model is better than another, by paired differences on the same held-out samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clues.evaluation.figures import Values, measure, measured

_RESAMPLES, _AT_ONCE, _COVERAGE = 5000, 100, 0.95
# With fewer samples that differ at all, chance puts all of them on one side in more than 5 % of cases (2 / 2⁵).
_FEWEST = 6


def comparisons(arms: Mapping[str, Values], arm: str = "selected") -> list[dict[str, Any]]:
    """`arm` against every other arm, by domain and measure.

    Returns:
        Rows as of `compared`; empty where `arm` is not among the arms.
    """
    rows = []
    for domain, measures in arms.get(arm, {}).items():
        for name in measured(measures):
            for other, values in arms.items():
                if other == arm:
                    continue
                differences = np.subtract(measures[name], values[domain][name])
                rows.append(compared({"domain": domain, "measure": name, "arm": arm, "other": other}, differences))
    return rows


def compared(names: Mapping[str, str], differences: np.ndarray) -> dict[str, Any]:
    """A row of domain, measure, arm, other, difference (mean), low, high (its interval) and verdict, in words.

    Args:
        names: the first four of them.
        differences: arm − other, one per sample; those that are nan do not count.
    """
    known = differences[~np.isnan(differences)]
    if not len(known):
        unknown = dict.fromkeys(("difference", "low", "high"))
        return {**names, **unknown, "verdict": "no difference can be told, as no verdict of the judge can be read"}
    low, high = interval(known)
    row = {**names, "difference": float(known.mean()), "low": low, "high": high}
    return row | {"verdict": _verdict(row, known)}


def interval(differences: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of the mean of paired differences, by the percentile bootstrap: always the same for the same.

    Samples are drawn with replacement, each with its values in both models (Efron and Tibshirani, An Introduction to
    the Bootstrap, chapter 13).

    Args:
        differences: one per sample.
    """
    rng, count = np.random.default_rng(0), len(differences)
    means = [differences[rng.integers(count, size=(_AT_ONCE, count))].mean(1) for _ in range(_RESAMPLES // _AT_ONCE)]
    low, high = np.quantile(means, [(1 - _COVERAGE) / 2, (1 + _COVERAGE) / 2])
    return float(low), float(high)


def _verdict(row: Mapping[str, Any], differences: np.ndarray) -> str:
    count, differing = len(differences), int(np.count_nonzero(differences))
    judged = measure(row["measure"])
    if row["low"] <= 0 <= row["high"] or differing < _FEWEST:
        unit = "answers" if judged.unit == "judged" else judged.unit
        words = f"no difference can be told with {count} {unit if count > 1 else unit[:-1]}"
        few = differing < _FEWEST <= count
        return f"{words}, as the models differ in {differing or 'none'} of them" if few else words
    better = (row["difference"] < 0) == judged.lower_is_better
    return f"{row['arm']} is {'better' if better else 'worse'} than {row['other']}"
