"""Measures of a model on held-out data: one value per sample, by domain, and the figures reported of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

# By domain and measure, one value per sample: `nll` per test, `token_f1` and `rouge_l` per generated answer, `accuracy`
# and `accuracy_norm` (0 or 1) and `chance` per question.
Values = dict[str, dict[str, list[float]]]

# What each measure is of; their number is reported beside its mean.
MEASURED = {
    "nll": "samples",
    "token_f1": "answers",
    "rouge_l": "answers",
    "accuracy": "questions",
    "accuracy_norm": "questions",
}


def by_domain(domains: Iterable[str], measures: Mapping[str, Sequence[float]]) -> Values:
    """Split columns of samples by the samples' domains, in alphabetical order of these."""
    rows: dict[str, list[int]] = {}
    for row, domain in enumerate(domains):
        rows.setdefault(domain, []).append(row)
    return {
        domain: {name: [column[row] for row in rows[domain]] for name, column in measures.items()}
        for domain in sorted(rows)
    }


def figures(values: Values) -> dict[str, dict[str, Any]]:
    """By domain: the mean of each measure, `perplexity`, and the numbers of `samples`, `answers` and `questions`."""
    result: dict[str, dict[str, Any]] = {}
    for domain, measures in values.items():
        means = {name: fmean(column) for name, column in measures.items()}
        counts = {MEASURED[name]: len(column) for name, column in measures.items() if name in MEASURED}
        if "nll" in means:
            means["perplexity"] = math.exp(means["nll"]) if means["nll"] < 700 else math.inf
        result[domain] = means | counts
    return result


def figures_of_arms(arms: Mapping[str, Values]) -> dict[str, dict[str, dict[str, Any]]]:
    """By domain and arm, its figures."""
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for arm, values in arms.items():
        for domain, of_domain in figures(values).items():
            result.setdefault(domain, {})[arm] = of_domain
    return result
