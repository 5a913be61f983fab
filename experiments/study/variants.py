"""Selections by every variant of a score, from what `measure.py` wrote.

    python experiments/study/variants.py runs/study/NAME-1 …

Writes docs/results/study/NAME-1.parquet: a row a study and variant, of all clients' samples together. What depends on
which public samples there are is the mean over `DRAWS` choices of them.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from combinations import combinations, learning_from
from gradients import by_validation, gradient_scores, with_anchors
from measured import Measured, Score
from torch import Tensor

from clues.io.files import write_rows
from clues.lab.rows import pooled
from clues.selection.metrics import selection_metrics
from clues.selection.threshold import fit_threshold
from clues.settings import Rule, SelectionSettings

STORED = Path(__file__).parents[2] / "docs" / "results" / "study"
DRAWS = 10
FIGURES = ("precision", "recall", "f1", "accuracy", "auroc")
Row = dict[str, Any]


def main(folders: Sequence[Path]) -> None:
    for folder in folders:
        clients = {file.stem: torch.load(file, weights_only=False) for file in sorted(folder.glob("*.pt"))}
        write_rows(STORED / f"{folder.name}.parquet", list(studied(clients)))


def studied(clients: dict[str, Measured]) -> Iterator[Row]:
    for name, score in gradient_scores().items():
        yield {"study": "gradients", "variant": name, **selected(clients, score, "anchor-quantile")}
    for name, score in combinations().items():
        yield {"study": "signals", "variant": name, **selected(clients, score, "posterior")}
    for size in (8, 16, 32, 64, 128, 256):
        drawn = [by_validation(size, draw) for draw in range(DRAWS)]
        yield {"study": "validation", "variant": f"clues, {size}", **mean_of(clients, drawn, "anchor-quantile")}
    for anchors, validation in ((5, 8), (10, 8), (5, 16), (10, 16), (5, 32), (10, 32)):
        drawn = [learning_from(anchors, validation, draw) for draw in range(DRAWS)]
        name = f"auto, {anchors} anchors, {validation} validation samples"
        yield {"study": "public", "variant": name, **mean_of(clients, drawn, "posterior")}
    for count in (5, 10, 20, 50):
        for rule in ("anchor-mean", "anchor-quantile", "anchor-deviation", "anchor-normalised"):
            drawn = [with_anchors(count, draw) for draw in range(DRAWS)]
            yield {"study": "anchors", "variant": f"{rule}, {count}", **mean_of(clients, drawn, rule)}


def selected(clients: dict[str, Measured], score: Score, rule: Rule) -> Row:
    scores = {name: score(found) for name, found in clients.items()}
    return figures(scores, {name: found.kinds for name, found in clients.items()}, rule)


def figures(scores: Mapping[str, Tensor], kinds: Mapping[str, Sequence[str]], rule: Rule) -> Row:
    """Figures of all clients' samples together, by a threshold from all clients' anchors.

    Args:
        scores: by client, of its samples and then of the anchors. kinds: by client, of each sample that of its damage.
    """
    anchors = {name: scores[name][len(own) :] for name, own in kinds.items()}
    shares = {name: sum(not kind for kind in own) / len(own) for name, own in kinds.items()}
    threshold = fit_threshold(anchors, SelectionSettings(threshold=rule), shares)
    return of_kept(scores, {name: threshold.keep(scores[name][: len(own)], name) for name, own in kinds.items()}, kinds)


def of_kept(scores: Mapping[str, Tensor], kept: Mapping[str, Tensor], kinds: Mapping[str, Sequence[str]]) -> Row:
    """`figures` of what every client keeps."""
    results = []
    for name, own in kinds.items():
        chosen: list[bool] = kept[name].tolist()
        result = selection_metrics(scores[name][: len(own)].tolist(), chosen, own)
        results.append(result | {"kept": sum(chosen), "dropped": len(chosen) - sum(chosen)})
    whole = pooled(results)
    return {name: whole[name] for name in FIGURES}


def mean_of(clients: dict[str, Measured], scores: Sequence[Score], rule: Rule) -> Row:
    """Means over draws, and the standard deviation of F1 between them."""
    rows = [selected(clients, score, rule) for score in scores]
    means = {name: statistics.fmean(row[name] for row in rows) for name in FIGURES}
    return means | {"f1_deviation": statistics.stdev(row["f1"] for row in rows)}


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
