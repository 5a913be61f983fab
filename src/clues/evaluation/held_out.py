"""Everything that is measured of one model on held-out tests."""

from __future__ import annotations

from typing import Any

from clues.evaluation.generation import evaluate_answers
from clues.evaluation.likelihood import evaluate
from clues.evaluation.tests import Tests
from clues.settings import EvaluationSettings


def evaluate_tests(model: Any, tests: Tests, settings: EvaluationSettings, *, what: str = "") -> dict[str, Any]:
    """By domain, what `evaluate` finds and, where `settings.generate` asks for it, what `evaluate_answers` finds.

    Raises:
        ConfigError: answers are asked for and the package rouge-score is not installed.
    """
    shown = f"evaluating {what}".strip()
    figures = evaluate(model, tests.tokens, batch_tokens=settings.batch_tokens, what=shown)
    if settings.generate:
        answers = evaluate_answers(model, tests, settings, what=f"answers of {what or 'the model'}")
        figures = {domain: found | answers[domain] for domain, found in figures.items()}
    return figures
