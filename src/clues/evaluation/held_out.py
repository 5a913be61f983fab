"""All measures of a model on held-out tests."""

from __future__ import annotations

from typing import Any

from clues.evaluation.choices import evaluate_choices
from clues.evaluation.figures import Values
from clues.evaluation.generation import evaluate_answers
from clues.evaluation.likelihood import evaluate
from clues.evaluation.test_set import HeldOut
from clues.io.progress import phase
from clues.settings import EvaluationSettings


@phase("evaluation")
def evaluate_tests(model: Any, tests: HeldOut, settings: EvaluationSettings, *, what: str = "") -> Values:
    """The values of `evaluate` and `evaluate_choices`, and of `evaluate_answers` if `settings.generate` is above 0.

    Raises:
        ConfigError: answers are requested and the package rouge-score is not installed.
    """
    limit = settings.batch_tokens
    measured = [evaluate(model, tests.tokens, batch_tokens=limit, what=f"evaluating {what}".strip())]
    if settings.generate and tests.samples:
        measured.append(evaluate_answers(model, tests, settings, what=f"answers of {what or 'the model'}"))
    if tests.questions:
        shown = f"multiple choice by {what or 'the model'}"
        measured.append(evaluate_choices(model, tests, batch_tokens=limit, what=shown))
    domains = sorted({domain for values in measured for domain in values})
    return {domain: {k: v for values in measured for k, v in values.get(domain, {}).items()} for domain in domains}
