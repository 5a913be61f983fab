"""What one data owner keeps, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clues.data.samples import Private
from clues.io.files import json_line, replace_whole
from clues.methods.default.features import FEATURES
from clues.selection.threshold import Threshold
from clues.silo.tables import ScoreTable


@dataclass(frozen=True)
class Selection:
    """The samples that a threshold keeps at a client, by one column of a table of scores."""

    table: ScoreTable
    threshold: Threshold
    client: str
    column: str = "score"

    @cached_property
    def kept(self) -> list[bool]:
        """Whether each sample is kept: samples."""
        kept: list[bool] = self.threshold.keep(self.scores, self.client).tolist()
        return kept

    @cached_property
    def scores(self) -> torch.Tensor:
        return self.table[self.column]

    @property
    def reasons(self) -> Iterator[str]:
        """Why each sample is kept or dropped."""
        return (self.reason(row) for row in range(len(self.kept)))

    def reason(self, row: int) -> str:
        """The rule and, for a dropped sample, the feature on which it is least like good samples."""
        limit, keep, rule = self.threshold.limit(self.client), self.kept[row], self.threshold.rule
        if limit is None:
            reason = f"{'among' if keep else 'not among'} the best share ({rule})"
        else:
            reason = f"score {'≥' if keep else '<'} {limit:.6g} ({rule})"
        if keep or self._features is None:
            return reason
        lowest = int(self._features[row].argmin())
        value = float(self._features[row, lowest])
        return f"{reason}; lowest: {FEATURES[lowest]}, {value:+.1f} standard deviations of clean ones"

    @cached_property
    def _features(self) -> np.ndarray | None:
        """samples × features, if the default score made the table; else a column `loss` is the loss itself, in nats."""
        if not set(FEATURES) <= set(self.table.names):
            return None
        return np.stack([self.table[name].numpy() for name in FEATURES], axis=1)


def write_selection(private: Private, selection: Selection, folder: Path) -> None:
    """Write kept.jsonl and dropped.jsonl: the original records, each with its score and the reason.

    Unusable records come last in dropped.jsonl, without a score.
    """

    def write(kept: Path, dropped: Path) -> None:
        with ExitStack() as files:
            kept_file, dropped_file = (files.enter_context(p.open("w", encoding="utf-8")) for p in (kept, dropped))
            scores = selection.scores
            for row, (sample, keep) in enumerate(zip(private.samples, selection.kept, strict=True)):
                facts = {"id": sample.id, "score": float(scores[row]), "reason": selection.reason(row)}
                (kept_file if keep else dropped_file).write(json_line({**sample.record, "clues": facts}) + "\n")
            for bad in private.unusable:
                reason = f"cannot be used: {Path(bad.place).name}: {bad.reason}"
                facts = {"id": bad.id, "score": None, "reason": reason}
                dropped_file.write(json_line({**bad.record, "clues": facts}) + "\n")

    dropped = folder / "dropped.jsonl"
    replace_whole(folder / "kept.jsonl", lambda kept: replace_whole(dropped, lambda part: write(kept, part)))


def counts(selection: Selection) -> dict[str, Any]:
    """The numbers of kept and of dropped samples."""
    kept = sum(selection.kept)
    return {"kept": kept, "dropped": len(selection.kept) - kept}
