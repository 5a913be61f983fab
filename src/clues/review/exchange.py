"""Files in which other tools carry marks: CSV for spreadsheets, JSON for Argilla.

Both are read back as any file of decisions is, `clues.silo.marks.read_marks`.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from clues.errors import ConfigError, OutputError
from clues.io.files import replace_whole
from clues.review.session import Session
from clues.silo.marks import to_cell

COLUMNS = ("id", "prompt", "response", "score", "quality", "remark")
_CELL = 32_000  # characters; Excel splits a cell of more than 32,767


def export(session: Session, path: Path) -> int:
    """Write the samples to review with their marks; returns how many.

    Raises:
        ConfigError: the file's kind is unknown.
        OutputError: the file exists.
    """
    if path.suffix not in _WRITERS:
        raise ConfigError(f"--export {path}: name it .csv for a spreadsheet, or .json for Argilla.")
    if path.exists():
        raise OutputError(f"{path}: exists already, and may hold marks; choose another name.")
    lines = [_line(session, row) for row in session.queue]
    replace_whole(path, lambda part: _WRITERS[path.suffix](part, lines))
    return len(lines)


def _line(session: Session, row: int) -> dict[str, Any]:
    sample, mark = session.owner.private.samples[row], session.mark(row)
    texts = {"prompt": str(sample.context[-1]["content"]), "response": sample.response}
    return {
        "id": sample.id,
        **texts,
        "score": float(session.scores[row]),
        "quality": mark.quality,
        "remark": mark.remark,
    }


def _write_csv(path: Path, lines: list[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8-sig", newline="") as stream:  # without the mark, Excel does not see UTF-8
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in line.items()} for line in lines)


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return to_cell(value if len(value) <= _CELL else f"{value[:_CELL]} …")


def _write_argilla(path: Path, lines: list[dict[str, Any]]) -> None:
    """A list of records as `DatasetRecords.to_json` of Argilla 2 writes it; marks become suggestions."""
    records = [
        {
            "id": line["id"],
            "fields": {name: line[name] for name in ("prompt", "response")},
            "metadata": {"score": line["score"]},
            "suggestions": {
                name: {"value": line[name], "score": None, "agent": "owner"}
                for name in ("quality", "remark")
                if line[name]
            },
            "responses": {},
            "vectors": {},
        }
        for line in lines
    ]
    path.write_text(json.dumps(records, ensure_ascii=False, indent=1), encoding="utf-8")


_WRITERS: dict[str, Callable[[Path, list[dict[str, Any]]], None]] = {".csv": _write_csv, ".json": _write_argilla}
