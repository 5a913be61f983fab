"""Reading JSON and JSON Lines, whichever of the two the file's name says.

The readers of `datasets` and Arrow are not used: they do not name a bad line, and they give every record the fields of
all records, so that absent fields become indistinguishable from null ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from clues.data.layouts.dialects import detect
from clues.data.records.rows import Row, numbered, of_value
from clues.data.records.text import lines, read_text
from clues.data.records.values import shown_names
from clues.errors import DataError


class _Repeated(ValueError):
    """An object names a field twice, and one of the values would be lost."""


def json_lines(file: Path) -> Iterable[Row]:
    """The records of one object per line, read lazily, or of a list of objects, read as a whole."""
    numbered_lines = enumerate(lines(file), start=1)
    first = _next(numbered_lines)
    if first is None:
        return []
    if first[1].lstrip().startswith("[") and not _is_alone(first[1]):
        return json_list(file)
    return _of_lines(file, chain([first], numbered_lines))


def json_list(file: Path) -> Iterable[Row]:
    """The records of a list of objects, of one object per line (which `datasets` also names .json), or a single record.

    A list is read as a whole; lines are read lazily.
    """
    numbered_lines = enumerate(lines(file), start=1)
    first = _next(numbered_lines)
    if first is not None and first[1].lstrip().startswith("{"):
        second = _next(numbered_lines)
        if second is not None and _first_is_object(first[1]):
            return _of_lines(file, chain([first, second], numbered_lines))
    text = read_text(file)
    try:
        value = _parsed(text)
    except (json.JSONDecodeError, _Repeated) as error:
        if _first_is_object(text):
            return _of_lines(file, enumerate(text.split("\n"), start=1))
        if isinstance(error, _Repeated):
            raise DataError(f"{file}: {_reason(error)}.") from None
        raise DataError(f"{file}, line {error.lineno}: broken JSON at column {error.colno}; fix it.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: {_reason(error)}.") from None
    if isinstance(value, dict):
        holders = [key for key, item in value.items() if isinstance(item, list) and item and _objects(item)]
        if len(holders) == 1 and detect(value) is None:
            raise DataError(
                f"{file}: is one object whose field {shown_names(holders)} contains a list; "
                "write that list alone: [{…}, …]."
            )
        return [of_value(value, file=file, at="record 1")]
    if not isinstance(value, list):
        raise DataError(f"{file}: is not a JSON list of objects; write [{{…}}, {{…}}].")
    return numbered(file, value, unit="record")


def _next(numbered_lines: Iterator[tuple[int, str]]) -> tuple[int, str] | None:
    """The next line that is not blank, with its number."""
    return next(((number, line) for number, line in numbered_lines if line.strip()), None)


def _of_lines(file: Path, numbered_lines: Iterable[tuple[int, str]]) -> Iterator[Row]:
    for number, line in numbered_lines:
        if line.strip():
            yield _row(line, file=file, at=f"line {number}")


def _row(line: str, *, file: Path, at: str) -> Row:
    raw = line.rstrip("\r\n")
    try:
        value = _parsed(raw.lstrip("\ufeff"))  # concatenated files keep their byte order marks
        return of_value(value, file=file, at=at, raw=raw)
    except json.JSONDecodeError as error:
        return Row(file, at, None, f"broken JSON at column {error.colno}; fix or remove the line", raw)
    except (ValueError, RecursionError) as error:
        return Row(file, at, None, _reason(error), raw)


def _parsed(text: str) -> Any:
    return _DECODER.decode(text)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _Repeated("names one field of an object twice")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object)  # made once, as json.loads makes one for every call


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "is nested too deeply; flatten it"
    if isinstance(error, _Repeated):
        return f"{error}; keep one of them"
    return "contains a number with too many digits; write it as a text"


def _is_alone(line: str) -> bool:
    """Whether a line that begins a list is a complete value other than a list of records."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return not (isinstance(value, list) and value and _objects(value))


def _objects(values: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in values)


def _first_is_object(text: str) -> bool:
    """Whether the first line that is not blank is a complete object, as in JSON Lines."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False
