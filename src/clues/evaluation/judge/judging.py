"""Answers of several models, judged: a score of each answer, and which of two answers is better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clues.data.samples import Sample
from clues.evaluation.comparison import compared
from clues.evaluation.figures import Values, by_domain
from clues.evaluation.judge import prompts
from clues.evaluation.judge.endpoint import replies
from clues.evaluation.judge.prompts import Messages
from clues.io.store import Store
from clues.settings import JudgeSettings


@dataclass(frozen=True)
class Answers:
    """`answered`: the tests. `by_arm`: each model's answer to each of them."""

    answered: Sequence[Sample]
    by_arm: Mapping[str, Sequence[str]]

    def rows(self, domain: str) -> list[int]:
        return [row for row, sample in enumerate(self.answered) if sample.domain == domain]


def judge(
    answers: Answers, settings: JudgeSettings, *, store: Store, arm: str
) -> tuple[dict[str, Values], list[dict[str, Any]]]:
    """(By arm, `judge_10` or `judge_1` of each answer; rows of comparisons, with the measure `judge_pairs`).

    A preference is the mean of two verdicts, of which the second sees the answers in the other order: 1 if both are
    for `arm`, -1 if both are against it, 0 if they disagree or are ties. Equal answers are a tie without being asked.

    Raises:
        EvaluationError: the judge does not answer, or the estimated cost is above the budget.
    """
    others = [other for other in answers.by_arm if other != arm] if settings.pairs and arm in answers.by_arm else []
    single = {name: _singly(answers, name, scale=settings.scale) for name in answers.by_arm}
    pairs = {other: _in_pairs(answers, arm, other) for other in others}
    questions = [question for group in (*single.values(), *pairs.values()) for question in group]
    told = iter(replies(questions, settings, store))
    domains = [sample.domain for sample in answers.answered]
    values = {}
    for name, asked in single.items():
        scores = [prompts.score_of(next(told), scale=settings.scale) for _ in asked]
        values[name] = by_domain(domains, {f"judge_{settings.scale}": scores})
    rows = []
    for other, asked in pairs.items():
        verdicts = np.array([prompts.preference_of(next(told)) for _ in asked]).reshape(-1, 2) * [1, -1]
        rows += _compared(answers, arm, other, verdicts=verdicts)
    return values, rows


def _singly(answers: Answers, arm: str, *, scale: int) -> list[Messages]:
    pairs = zip(answers.answered, answers.by_arm[arm], strict=True)
    return [prompts.scored(sample, answer, scale=scale) for sample, answer in pairs]


def _differing(answers: Answers, arm: str, other: str) -> list[int]:
    """The rows whose two answers are not the same."""
    pairs = zip(answers.by_arm[arm], answers.by_arm[other], strict=True)
    return [row for row, (one, two) in enumerate(pairs) if one.strip() != two.strip()]


def _in_pairs(answers: Answers, arm: str, other: str) -> list[Messages]:
    """Two questions for each pair of different answers, one for each order."""
    result = []
    for row in _differing(answers, arm, other):
        one, two = answers.by_arm[arm][row], answers.by_arm[other][row]
        result += [prompts.compared(answers.answered[row], *order) for order in ((one, two), (two, one))]
    return result


def _compared(answers: Answers, arm: str, other: str, *, verdicts: np.ndarray) -> list[dict[str, Any]]:
    """A row per domain.

    Args:
        verdicts: of different answers, 1, 0 or -1 for `arm` in both orders: pairs × 2.
    """
    both = np.zeros((len(answers.answered), 2))
    both[asked := _differing(answers, arm, other)] = verdicts
    result = []
    for domain in sorted({sample.domain for sample in answers.answered}):
        rows = answers.rows(domain)
        names = {"domain": domain, "measure": "judge_pairs", "arm": arm, "other": other}
        row = compared(names, both[rows].mean(1))
        told = [tuple(both[n]) for n in rows if n in set(asked) and not math.isnan(both[n].sum())]
        same = sum(one == two for one, two in told)
        if told:
            row["verdict"] += f"; in both orders the judge says the same of {same} of {len(told)} pairs"
        unread = len(set(asked) & set(rows)) - len(told)
        row["verdict"] += f"; {unread} pairs could not be judged" if unread else ""
        result.append(row)
    return result
