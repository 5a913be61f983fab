"""A record as it came out of a file, and what is wrong with it where it cannot be used."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clues.data.records.values import too_deep

_MOST = 10


@dataclass(frozen=True)
class Row:
    """One record of a file.

    `at` is where it stands (`line 3`), `record` what it holds. Where it holds no usable record, `problem` says why as
    the rest of a sentence without its point, and `raw` is the text that stands there instead.
    """

    file: Path
    at: str
    record: dict[str, Any] | None
    problem: str = ""
    raw: str = ""

    @property
    def place(self) -> str:
        return f"{self.file}, {self.at}"


def listed(problems: Iterable[str], most: int = _MOST) -> str:
    """Problems as one message, a line each; a long list is cut, and how much of it is told."""
    found = list(problems)
    if len(found) > most + 1:
        return "\n".join([*found[:most], f"and {len(found) - most} more."])
    return "\n".join(found)


def numbered(file: Path, values: Iterable[Any], unit: str) -> Iterable[Row]:
    """The rows of a list whose items are records, counted from 1."""
    for number, value in enumerate(values, start=1):
        yield of_value(file, f"{unit} {number}", value)


def of_value(file: Path, at: str, value: Any, raw: str = "") -> Row:
    """The row of a value that should be a record."""
    if not isinstance(value, dict):
        return Row(file, at, None, "is not a JSON object; write one object for each record", raw or _as_text(value))
    if too_deep(value):
        return Row(file, at, None, "is nested too deeply; flatten it", raw or _as_text(value))
    return Row(file, at, value)


def _as_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:
        return ""
