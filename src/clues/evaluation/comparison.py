"""Whether one model is better than another, by paired differences on the same held-out samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from clues.evaluation.figures import MEASURED, Values

_RESAMPLES, _AT_ONCE, _COVERAGE = 5000, 100, 0.95
# With fewer samples that differ at all, chance puts all of them on one side in more than 5 % of cases (2 / 2⁵).
_FEWEST = 6


def comparisons(arms: Mapping[str, Values], arm: str = "selected") -> list[dict[str, Any]]:
    """`arm` against every other arm, by domain and measure.

    Returns:
        Rows of domain, measure, arm, other, difference (arm − other, mean over samples), low, high (its interval) and
        verdict, in words; empty where `arm` is not among the arms.
    """
    rows = []
    for domain, measures in arms.get(arm, {}).items():
        for measure in [name for name in MEASURED if name in measures]:
            for other, values in arms.items():
                if other == arm:
                    continue
                differences = np.subtract(measures[measure], values[domain][measure])
                low, high = interval(differences)
                names = {"domain": domain, "measure": measure, "arm": arm, "other": other}
                row = {**names, "difference": float(differences.mean()), "low": low, "high": high}
                rows.append(row | {"verdict": _verdict(row, differences)})
    return rows


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
    if row["low"] <= 0 <= row["high"] or np.count_nonzero(differences) < _FEWEST:
        unit = MEASURED[row["measure"]]
        return f"no difference can be told with {len(differences)} {unit if len(differences) > 1 else unit[:-1]}"
    better = (row["difference"] < 0) == (row["measure"] == "nll")  # of all others, higher is better
    return f"{row['arm']} is {'better' if better else 'worse'} than {row['other']}"
