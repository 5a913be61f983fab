"""Tasks of the LM Evaluation Harness (github.com/EleutherAI/lm-evaluation-harness), through its Python API."""

from __future__ import annotations

import copy
import difflib
import functools
import json
import logging
from collections.abc import Mapping
from importlib.metadata import version
from itertools import islice
from typing import Any

from clues.errors import CluesError, ConfigError, EvaluationError
from clues.evaluation.figures import Values
from clues.io.digests import value_digest
from clues.io.progress import say, task
from clues.models.base import Base
from clues.settings import HarnessSettings

_SEED = 1234  # the harness's own for the examples in prompts
_NAMES = {"acc": "accuracy", "acc_norm": "accuracy_norm"}


def check_harness(settings: HarnessSettings) -> None:
    """Load the tasks and their data, so that what is wrong with them is told before any long work.

    Raises:
        CluesError: the package is missing, a task is unknown, or its data cannot be loaded.
    """
    _tasks(settings)


def evaluate_harness(model: Any, base: Base, settings: HarnessSettings, *, batch_tokens: int, what: str) -> Values:
    """Of each task, as domain `TASK (harness)`, the values of its items by metric.

    Multiple-choice metrics have our names for them. Metrics that are not means over items, such as perplexity, and
    those of which lower is better are left out, with a notice.

    Args:
        model: the base model, with or without an adapter.

    Raises:
        CluesError: as `check_harness`; or a task fails with this model.
    """
    loaded = _tasks(settings)
    from lm_eval.evaluator import evaluate
    from lm_eval.models.huggingface import HFLM

    try:
        with task(f"harness: {what}"):
            # A copy of the tokenizer, as the harness gives it a token for padding.
            lm = HFLM(
                pretrained=model,
                backend="causal",
                tokenizer=copy.deepcopy(base.tokenizer),
                max_length=base.positions,
                batch_size=max(1, batch_tokens // 512),
            )
            found = evaluate(
                lm,
                loaded,
                limit=settings.limit,
                bootstrap_iters=0,
                apply_chat_template=settings.chat_template,
                fewshot_as_multiturn=settings.chat_template,
            )
    except Exception as error:  # a task is code and can raise anything
        raise EvaluationError(
            f"evaluation.harness: {', '.join(settings.tasks)} cannot be evaluated ({_first_line(error)}); leave out "
            "the task that fails."
        ) from None
    return {f"{name} (harness)": _values(loaded["tasks"][name], items) for name, items in found["samples"].items()}


def harness_digest(settings: HarnessSettings) -> str:
    """A digest of what results depend on beside the model: the tasks with their data, the limits and the version."""
    tasks = {
        name: [one.dump_config(), list(islice(one.eval_docs, settings.limit))]
        for name, one in _tasks(settings)["tasks"].items()
    }
    contents = json.dumps(tasks, sort_keys=True, default=repr)
    return value_digest([version("lm-eval"), settings, contents])


def _values(of: Any, items: list[Mapping[str, Any]]) -> dict[str, list[float]]:
    aggregations, higher = of.aggregation(), of.higher_is_better()
    values: dict[str, list[float]] = {}
    omitted = set()
    for item in items:
        for metric in item["metrics"]:
            if getattr(aggregations.get(metric), "__name__", "") != "mean" or not higher.get(metric):
                omitted.add(metric)
                continue
            name = _NAMES.get(metric, metric) + ("" if item["filter"] == "none" else f" {item['filter']}")
            values.setdefault(name, []).append(float(item[metric]))
    if omitted:
        names = ", ".join(sorted(omitted))
        say(f"harness: {of.task_name}: {names} left out, which is no mean over items, or lower is better.")
    return values


def _tasks(settings: HarnessSettings) -> dict[str, Any]:
    """The tasks, as the harness loads them."""
    manager = _manager(settings.folder, defaults=False) if settings.folder else None
    if manager is None or not set(settings.tasks) <= set(manager.all_tasks):
        manager = _manager(settings.folder, defaults=True)
    unknown = [name for name in settings.tasks if name not in set(manager.all_tasks)]
    if unknown:
        similar = [match for name in unknown for match in difflib.get_close_matches(name, manager.all_tasks, n=1)]
        hint = f"did you mean {', '.join(similar)}?" if similar else "lm-eval ls tasks lists all."
        raise ConfigError(f"evaluation.harness.tasks: {', '.join(unknown)} unknown; {hint}")
    try:
        loaded = manager.load(list(settings.tasks))
    except CluesError:
        raise
    except Exception as error:  # of the Hub, the network, or a task's code
        raise EvaluationError(
            f"evaluation.harness: the data of {', '.join(settings.tasks)} cannot be loaded ({_first_line(error)}); "
            "check the network, as they come from the Hugging Face Hub, or name a folder of tasks with data of their "
            "own by evaluation.harness.folder."
        ) from None
    for one in loaded["tasks"].values():
        given = one.get_config("num_fewshot")
        wanted = given if settings.few_shot is None else settings.few_shot
        one.set_config("num_fewshot", 0 if given == 0 else wanted or 0)  # a task that allows no examples keeps 0
        one.set_fewshot_seed(_SEED)
    return loaded


@functools.lru_cache(maxsize=2)
def _manager(folder: str | None, *, defaults: bool) -> Any:
    """The index of tasks; that of the harness's own takes a while."""
    try:
        from lm_eval.tasks import TaskManager
    except ImportError:
        raise ConfigError("evaluation.harness: needs the package lm-eval; install it by: pip install lm-eval") from None
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with task("harness: list of tasks"):
        return TaskManager(include_path=folder, include_defaults=defaults)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
