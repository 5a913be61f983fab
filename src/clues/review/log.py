"""The file of an owner's marks, which grows by a line a mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from clues.data.layouts.identity import own_id
from clues.data.records.sources import rows
from clues.io.files import write_jsonl
from clues.silo.marks import Mark, read_marks


class MarkLog:
    """decisions.jsonl as a log: the last line on a sample counts, and undoing a mark removes the last line.

    Each change reads the file again and replaces it as a whole, so that neither a killed process nor a change by hand
    loses a mark. All methods raise DataError if somebody has broken the file.
    """

    def __init__(self, path: Path, ids: Sequence[str]) -> None:
        self.path, self._ids = path, ids

    def marks(self) -> dict[int, Mark]:
        """The marks by row."""
        return read_marks(self.path, self._ids) if self.path.is_file() else {}

    def add(self, mark: Mark) -> None:
        """Write a mark. With the sample and the quality of the latest one, it changes that one's remark."""
        lines, same = self._lines(), (mark.id, mark.quality)
        if lines and (own_id(lines[-1]), lines[-1].get("quality")) == same:
            lines[-1] |= asdict(mark)
        else:
            lines.append(asdict(mark))
        write_jsonl(self.path, lines)

    def undo(self) -> str | None:
        """Remove the latest mark; returns the id of its sample, if there was one."""
        lines = self._lines()
        if not lines:
            return None
        last = lines.pop()
        write_jsonl(self.path, lines)
        return own_id(last)

    def take_over(self, path: Path) -> int:
        """Add what another file says beyond this one, where an empty field says nothing; returns how many samples."""
        present, new = self.marks(), []
        for row, mark in read_marks(path, self._ids).items():
            old = present.get(row, Mark(mark.id))
            merged = Mark(mark.id, mark.quality or old.quality, mark.remark or old.remark)
            new += [merged] if merged != old else []
        write_jsonl(self.path, [*self._lines(), *map(asdict, new)])
        return len(new)

    def _lines(self) -> list[dict[str, Any]]:
        if not self.path.is_file() or not self.marks():  # refuses a broken file
            return []
        return [row.record for row in rows(self.path) if row.record]
