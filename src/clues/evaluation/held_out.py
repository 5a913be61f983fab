"""All metrics of a model on held-out tests."""

from __future__ import annotations

from typing import Any

from clues.evaluation.generation import evaluate_answers
from clues.evaluation.likelihood import evaluate
from clues.evaluation.test_set import HeldOut
from clues.settings import EvaluationSettings


def evaluate_tests(model: Any, tests: HeldOut, settings: EvaluationSettings, *, what: str = "") -> dict[str, Any]:
    """By domain, the figures of `evaluate`, and those of `evaluate_answers` if `settings.generate` is above 0.

    Raises:
        ConfigError: answers are requested and the package rouge-score is not installed.
    """
    shown = f"evaluating {what}".strip()
    figures = evaluate(model, tests.tokens, batch_tokens=settings.batch_tokens, what=shown)
    if settings.generate:
        answers = evaluate_answers(model, tests, settings, what=f"answers of {what or 'the model'}")
        figures = {domain: likelihood | answers[domain] for domain, likelihood in figures.items()}
    return figures
