"""What one data owner keeps, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from clues.data.samples import Private
from clues.io.files import json_line, replace_whole
from clues.io.progress import phase
from clues.methods.default.columns import FEATURES
from clues.selection.threshold import Threshold
from clues.silo.checked import Checked
from clues.silo.tables import ScoreTable


@dataclass(frozen=True)
class Selection:
    """The samples that a threshold keeps at a client, by one column of a table of scores.

    `drop`: checks whose findings are dropped, whatever their score. `decisions`: by row, whether the owner judged a
    sample good, which counts more than anything else; `updated`: the scores given these decisions.
    """

    table: ScoreTable
    threshold: Threshold
    client: str
    column: str = "score"
    drop: Sequence[str] = ()
    decisions: Mapping[int, bool] = field(default_factory=dict)
    updated: np.ndarray | None = None

    @cached_property
    def kept(self) -> list[bool]:
        """Whether each sample is kept: samples."""
        kept: list[bool] = (self._reached & ~self._refused).tolist()
        for row, good in self.decisions.items():
            kept[row] = good
        return kept

    @cached_property
    def checked(self) -> Checked:
        """What checks found in the samples."""
        return Checked(self.table)

    @cached_property
    def scores(self) -> np.ndarray:
        return self.table[self.column] if self.updated is None else self.updated

    @property
    def reasons(self) -> Iterator[str]:
        """Why each sample is kept or dropped."""
        return (self.reason(row) for row in range(len(self.kept)))

    def reason(self, row: int) -> str:
        """Score, findings and, of a sample below the threshold, the feature on which it is least like good ones."""
        if row in self.decisions:
            return f"{'kept' if self.decisions[row] else 'dropped'} by the owner"
        limit, reached = self.threshold.limit(self.client), self.reached(row)
        if limit is None:
            score = f"{'among' if reached else 'not among'} the best {self.threshold.share[self.client]:.0%} by score"
        else:
            score = f"score {'≥' if reached else '<'} {limit:.6g}"
        score += "" if self.updated is None else " (with your decisions)"
        found = self.checked.words(row)
        parts = [*found, f"dropped by selection.drop; {score}"] if self._refused[row] else [score, *found]
        if not reached and (weakest := self.weakest(row)):
            parts.append(f"lowest: {weakest[0]}, {weakest[1]:+.1f} standard deviations of good ones")
        return "; ".join(parts)

    def reached(self, row: int) -> bool:
        """Whether the score of a sample reaches the threshold."""
        return bool(self._reached[row])

    def decided_by(self, row: int) -> str:
        """What decided about a sample: owner, check or threshold."""
        return "owner" if row in self.decisions else "check" if self._refused[row] else "threshold"

    def weakest(self, row: int) -> tuple[str, float] | None:
        """The feature on which a sample is least like good ones, and its value; None if the score has no features."""
        if self.features is None:
            return None
        lowest = int(self.features[row].argmin())
        return FEATURES[lowest], float(self.features[row, lowest])

    @cached_property
    def features(self) -> np.ndarray | None:
        """samples × `FEATURES`, if the default score made the table."""
        if not set(FEATURES) <= set(self.table.names):
            return None
        features = np.empty((len(self.table), len(FEATURES)))
        for place, name in enumerate(FEATURES):
            features[:, place] = self.table[name]
        return features

    @cached_property
    def _reached(self) -> np.ndarray:
        """Whether each score reaches the threshold: samples, bool."""
        return self.threshold.keep(self.scores, self.client)

    @cached_property
    def _refused(self) -> np.ndarray:
        """Whether each sample is dropped whatever its score: samples, bool."""
        return self.checked.marked(self.drop)


@phase("selection")
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
    """The numbers of kept, dropped and reviewed samples, and what a person should know of the scores, if anything."""
    kept, note = sum(selection.kept), selection.table.note
    found: dict[str, Any] = {"kept": kept, "dropped": len(selection.kept) - kept}
    found |= {"reviewed": len(selection.decisions)} if selection.decisions else {}
    return found | ({"note": note} if note else {})
