"""Everything that is measured of one model on held-out tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from clues.data.prompts import Tokens
from clues.data.samples import Sample
from clues.evaluation.generation import evaluate_answers
from clues.evaluation.likelihood import evaluate
from clues.models.base import Base
from clues.settings import EvaluationSettings


def evaluate_tests(
    model: Any, base: Base, samples: Sequence[Sample], tokens: Sequence[Tokens], settings: EvaluationSettings, what: str
) -> dict[str, Any]:
    """By domain, what `evaluate` finds and, where `settings.generate` asks for it, what `evaluate_answers` finds.

    Raises:
        ConfigError: answers are asked for and the package rouge-score is not installed.
    """
    figures = evaluate(model, base, tokens, settings.batch_tokens, f"evaluating {what}".strip())
    if settings.generate:
        answers = evaluate_answers(model, base, samples, tokens, settings, f"answers of {what or 'the model'}")
        figures = {domain: found | answers[domain] for domain, found in figures.items()}
    return figures
