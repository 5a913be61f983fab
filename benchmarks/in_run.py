"""Training with and without in-run scoring, and what of it a refresh of the validation direction costs."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from setting import Setting, prepare
from tables import ratio, table

from clues.settings import ScoringSettings, TrainingSettings
from clues.training.fit import Training, fit
from clues.training.in_run import InRunScorer


def in_run(setting: Setting, epochs: float, repeats: int) -> None:
    data = prepare(setting)
    training = Training(lora=data.lora, settings=TrainingSettings(epochs=epochs, checkpoints=1), seed=1)
    scoring = ScoringSettings(walk="in-run", refreshes=4)
    anchors = data.validation[: max(1, len(data.validation) // 6)]
    refreshing: list[float] = []

    def watch(trainer: Any) -> InRunScorer:
        scorer = InRunScorer(trainer, validation=data.validation, anchors=anchors, settings=scoring)
        refresh = scorer._refresh

        def timed(steps: float) -> None:
            started = time.perf_counter()
            refresh(steps)
            refreshing.append(time.perf_counter() - started)

        scorer._refresh = timed  # type: ignore[method-assign]
        return scorer

    seconds = alternate(
        {
            "training": lambda: fit(data.base, data.samples, training=training),
            "training with in-run scoring": lambda: fit(data.base, data.samples, training=training, watch=watch),
        },
        repeats,
    )
    a_sample = statistics.median(seconds["training"]) / (epochs * len(data.samples))
    share = sum(refreshing) / sum(seconds["training"])
    notes = {"training with in-run scoring": f"of it the refreshes {share:.3f}"}
    rows = [[name, ratio(values, seconds["training"]), notes.get(name, "")] for name, values in seconds.items()]
    table(["way", "ratio to training (median; least–most)", ""], rows)
    print(
        f"\nA refresh, of {len(data.validation)} samples of validation and {len(anchors)} anchors, costs as much as "
        f"training on {statistics.median(refreshing) / a_sample:.1f} samples."
    )


def alternate(ways: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return seconds
