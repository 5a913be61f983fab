"""Files in which people judge samples: the labels of a benchmark, the decisions of an owner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clues.data.layouts.dialects import RecordError
from clues.data.layouts.identity import own_id
from clues.data.records.rows import listed
from clues.data.records.sources import rows
from clues.errors import DataError


def read_judged(path: str | Path, take: Callable[[str | None, Mapping[str, Any]], str]) -> None:
    """Pass id and record of every line to `take`, which returns what is wrong with them, or nothing.

    Raises:
        DataError: lines are unusable; lists all of them.
    """
    problems = []
    for row in rows(path):
        problem = row.problem if row.record is None else take(_identity(row.record), row.record)
        if problem:
            problems.append(f"{row.place}: {problem}.")
    if problems:
        raise DataError(listed(problems))


def _identity(record: Mapping[str, Any]) -> str | None:
    try:
        return own_id(record)
    except RecordError:
        return None
