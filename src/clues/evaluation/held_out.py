"""All measures of several models on held-out tests, and what differs between the models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from clues.data.tokens import TokenTable
from clues.errors import all_of
from clues.evaluation.choices import evaluate_choices
from clues.evaluation.comparison import comparisons
from clues.evaluation.figures import Values, figures_of_arms, joined
from clues.evaluation.generation import answered_rows, evaluate_answers, generate
from clues.evaluation.harness import check_harness, evaluate_harness, harness_digest
from clues.evaluation.judge.endpoint import check_judge
from clues.evaluation.judge.judging import Answers, judge
from clues.evaluation.likelihood import evaluate
from clues.evaluation.overlap import rouge_package
from clues.evaluation.test_set import HeldOut
from clues.io.progress import phase
from clues.io.store import JSON, Store
from clues.merging.merging import Adapter
from clues.models.adapters import attached
from clues.settings import EvaluationSettings, HarnessSettings

T = TypeVar("T")


@dataclass(frozen=True)
class Evaluation:
    """`values`: by model, its measures. `comparisons`: rows (`clues.evaluation.comparison.compared`)."""

    values: dict[str, Values]
    comparisons: list[dict[str, Any]]

    def as_metrics(self) -> dict[str, Any]:
        """`evaluation`: figures by domain and model; and `comparisons`."""
        return {"evaluation": figures_of_arms(self.values), "comparisons": self.comparisons}


def check_packages(settings: EvaluationSettings) -> None:
    """Whether everything is there that the settings need.

    Raises:
        ConfigError: a package, an API key or a task is missing; names all of them.
    """
    all_of(
        lambda: rouge_package() if settings.generate else None,
        lambda: check_judge(settings.judge) if settings.judge else None,
        lambda: check_harness(settings.harness) if settings.harness else None,
    )


@phase("evaluation")
def evaluate_models(
    tests: HeldOut, models: Mapping[str, Adapter | None], settings: EvaluationSettings, *, store: Store, arm: str
) -> Evaluation:
    """Everything that `settings` ask for. Finished measures and judgements are read from the store.

    Args:
        models: by name, an adapter of the tests' base model; None for the base model itself.
        arm: the model that the others are compared with.

    Raises:
        CluesError: a package is missing, or a judge or a task of the harness fails.
    """
    rows = answered_rows(tests, settings.generate_samples) if settings.generate else []
    answered = [tests.samples[row] for row in rows]
    digest = harness_digest(settings.harness) if settings.harness else ""
    values: dict[str, Values] = {}
    answers: dict[str, list[str]] = {}
    for name, adapter in models.items():
        model = _Model(tests, adapter, name, store)
        parts = [model.measures(settings.batch_tokens)]
        if rows:
            answers[name] = model.answers(rows, settings)
            parts.append(evaluate_answers(answers[name], answered))
        if settings.harness:
            parts.append(model.harness(settings.harness, digest, batch_tokens=settings.batch_tokens))
        values[name] = joined(parts)
    pairs: list[dict[str, Any]] = []
    if settings.judge and rows:
        scores, pairs = judge(Answers(answered, answers), settings.judge, store=store, arm=arm)
        values = {name: joined([values[name], scores[name]]) for name in values}
    return Evaluation(values, [*comparisons(values, arm), *pairs])


@dataclass(frozen=True)
class _Model:
    """A model on its tests: the base model, with or without an adapter. What is in the store is not computed again."""

    tests: HeldOut
    adapter: Adapter | None
    name: str
    store: Store

    def measures(self, batch_tokens: int) -> Values:
        """NLL, perplexity and multiple choice."""
        questions = [(question.options, question.right) for question in self.tests.questions]
        inputs = [self.tests.tokens.digest, self.tests.options.digest, questions]

        def compute(model: Any) -> Values:
            what = f"evaluating {self.name}"
            parts = [evaluate(model, self.tests.tokens, batch_tokens=batch_tokens, what=what)]
            if self.tests.questions:
                what = f"multiple choice by {self.name}"
                parts.append(evaluate_choices(model, self.tests, batch_tokens=batch_tokens, what=what))
            return joined(parts)

        return self._stored("evaluation", inputs, compute)

    def answers(self, rows: Sequence[int], settings: EvaluationSettings) -> list[str]:
        """Of the tests in `rows`."""
        tokens = [self.tests.tokens[row] for row in rows]

        def compute(model: Any) -> list[str]:
            return generate(model, self.tests.base, tokens, settings=settings, what=f"answers of {self.name}")

        return self._stored("answers", [TokenTable(tokens).digest, settings.generate], compute)

    def harness(self, settings: HarnessSettings, digest: str, *, batch_tokens: int) -> Values:
        """Of the tasks, which `digest` identifies."""

        def compute(model: Any) -> Values:
            return evaluate_harness(model, self.tests.base, settings, batch_tokens=batch_tokens, what=self.name)

        return self._stored("harness", [digest], compute)

    def _stored(self, kind: str, inputs: list[Any], compute: Callable[[Any], T]) -> T:
        base = self.tests.base

        def adapted() -> T:
            if self.adapter is None:
                return compute(base.model)
            state, lora = self.adapter
            with attached(base, lora, state) as model:
                return compute(model)

        return self.store.get(kind, [base.digest, self.adapter, *inputs], compute=adapted, codec=JSON)
