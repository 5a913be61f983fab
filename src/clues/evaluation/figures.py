"""Measures of a model on held-out data: one value per sample, by domain, and the figures reported of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

# By domain and measure, one value per sample; nan where a judge gave no readable verdict.
Values = dict[str, dict[str, list[float]]]


@dataclass(frozen=True)
class Measure:
    """`heading`: of its table. `unit`: what it is of; their number is reported beside the mean."""

    heading: str
    unit: str
    lower_is_better: bool = False


MEASURES = {
    "nll": Measure("Held-out NLL (nats a token, lower is better)", "tests", lower_is_better=True),
    "exact_match": Measure("Exact match of generated answers (higher is better)", "answers"),
    "token_f1": Measure("Token F1 of generated answers (higher is better)", "answers"),
    "rouge_l": Measure("ROUGE-L of generated answers (higher is better)", "answers"),
    "judge_10": Measure("Judge's score of generated answers (1 to 10, higher is better)", "judged"),
    "judge_1": Measure("Judge's score of generated answers (0 to 1, higher is better)", "judged"),
    "judge_pairs": Measure("Judge's preference between two answers (-1 to 1, higher is better)", "judged"),
    "accuracy": Measure("Multiple-choice accuracy, by likelihood (higher is better)", "questions"),
    "accuracy_norm": Measure("Multiple-choice accuracy, by likelihood per character (higher is better)", "questions"),
}
_OTHERS = {"perplexity", "chance", "not_judged"}  # figures that no models are compared by


def measure(name: str) -> Measure:
    """The measure of a name; names that are not in `MEASURES` are metrics of the LM Evaluation Harness."""
    return MEASURES.get(name, Measure(f"LM Evaluation Harness: {name} (higher is better)", "items"))


def measured(names: Iterable[str]) -> list[str]:
    """The measures among the names of values or figures, in the order of tables."""
    known = dict.fromkeys(names)
    counts = {measure(name).unit for name in known}
    return [*(n for n in MEASURES if n in known), *(n for n in known if n not in {*MEASURES, *_OTHERS, *counts})]


def measured_in(evaluation: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """The measures among figures by domain and arm, in the order of tables."""
    return measured(name for by_arm in evaluation.values() for figures in by_arm.values() for name in figures)


def by_domain(domains: Iterable[str], measures: Mapping[str, Sequence[float]]) -> Values:
    """Split columns of samples by the samples' domains, in alphabetical order of these."""
    rows: dict[str, list[int]] = {}
    for row, domain in enumerate(domains):
        rows.setdefault(domain, []).append(row)
    return {
        domain: {name: [column[row] for row in rows[domain]] for name, column in measures.items()}
        for domain in sorted(rows)
    }


def joined(parts: Iterable[Values]) -> Values:
    """The measures of all parts, by domain in alphabetical order."""
    result: Values = {}
    for part in parts:
        for domain, measures in part.items():
            result.setdefault(domain, {}).update(measures)
    return dict(sorted(result.items()))


def figures(values: Values) -> dict[str, dict[str, Any]]:
    """By domain: the mean of each measure, `perplexity`, and the numbers of `tests`, `answers`, `questions` and others.

    A mean is that of the known values, or None; `not_judged` is the number of answers without a readable verdict.
    """
    result: dict[str, dict[str, Any]] = {}
    for domain, measures in values.items():
        means: dict[str, Any] = {}
        counts: dict[str, int] = {}
        for name, column in measures.items():
            known = [value for value in column if not math.isnan(value)]
            means[name] = fmean(known) if known else None
            if name not in _OTHERS:
                counts[measure(name).unit] = len(known)
            if len(known) < len(column):
                counts["not_judged"] = len(column) - len(known)
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
