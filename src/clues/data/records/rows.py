"""A record as read from a file, or the reason why it cannot be used."""

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

    `at`: its place in the file (`line 3`). `record`: its content, None if it is unusable. Then `problem` says why, as
    the rest of a sentence without its full stop, and `raw` is the text at that place.
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
    """Join problems into one message, a line each. A long list is cut, and the rest counted."""
    sentences = list(problems)
    if len(sentences) > most + 1:
        return "\n".join([*sentences[:most], f"and {len(sentences) - most} more."])
    return "\n".join(sentences)


def numbered(file: Path, values: Iterable[Any], *, unit: str) -> Iterable[Row]:
    """The rows of a list whose items are records, counted from 1."""
    for number, value in enumerate(values, start=1):
        yield of_value(value, file=file, at=f"{unit} {number}")


def of_value(value: Any, *, file: Path, at: str, raw: str = "") -> Row:
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
