"""Reading CSV and TSV strictly: a wrong quote is an error and never swallows the next record.

Arrow's reader is not used: it names no line for wrong quotes, and converts ids and answers to numbers.
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from clues.data.layouts.dialects import detect
from clues.data.records.rows import Row
from clues.data.records.text import lines
from clues.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
_NOT_CLOSED = "a quote that opens a field here is not closed before the end of the field; double quotes within a text"


def csv_rows(file: Path) -> Iterator[Row]:
    """Every record below the header, which determines the delimiter.

    Raises:
        DataError: the header is unusable, or from some line on the ends of records cannot be determined.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # csv's default is 131,072 characters
    feed = _Feed(lines(file, newline=""))
    first = feed.peek()
    while first is not None and not first.strip():
        feed.skip()
        first = feed.peek()
    if first is None:
        return
    excel = re.fullmatch(r"sep=(.)\s*", first)  # how Excel names its delimiter
    if excel:
        feed.skip()
    delimiter = excel.group(1) if excel else _delimiter(first)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        place = f"line {feed.number + 1}"
        feed.consumed.clear()
        try:
            fields = next(reader, None)
            if fields is None:
                return
            if not any(field.strip() for field in fields):
                continue  # a blank line or an empty row, as spreadsheets leave them at the end
            if header:
                record, problem = _record(header, fields, consumed=feed.consumed, delimiter=delimiter)
                raw = feed.consumed[0].rstrip("\r\n") if problem and feed.consumed else ""
                yield Row(file, place, record, problem, raw)
                continue
            if len(set(fields)) < len(fields):
                raise _Unreadable("the header names a column twice; name each once")
            header = fields
        except (csv.Error, _Unreadable) as error:
            raise DataError(f"{file}, {place}: {_problem(error)}.") from None


class _Unreadable(ValueError):
    """Why the rest of a file cannot be read, as the rest of a sentence without its full stop."""


def _record(
    header: list[str], fields: list[str], *, consumed: Sequence[str], delimiter: str
) -> tuple[dict[str, Any] | None, str]:
    """(record, problem): one of the two. Raises _Unreadable if the ends of records cannot be determined."""
    if len(consumed) > 1 and _swallowed(header, fields, consumed=consumed, delimiter=delimiter):
        raise _Unreadable(_NOT_CLOSED)
    if len(fields) == len(header):
        return dict(zip(header, fields, strict=True)), ""
    counts = f"has {len(fields)} fields where the header has {len(header)}"
    problem = f"{counts}; fix it, or quote texts that contain {delimiter!r}"
    if len(consumed) > 1:  # an unknown number of records
        raise _Unreadable(f"{problem}, or a quote before it is not closed")
    return None, problem


def _delimiter(line: str) -> str:
    """The delimiter with which the header names a known layout, or else the most columns; a comma in case of a tie."""
    columns = {delimiter: next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), []) for delimiter in DELIMITERS}
    known = [delimiter for delimiter, names in columns.items() if detect(dict.fromkeys(names))]
    return known[0] if known else max(DELIMITERS, key=lambda delimiter: len(columns[delimiter]))


def _swallowed(header: Sequence[str], fields: Sequence[str], *, consumed: Sequence[str], delimiter: str) -> bool:
    """Whether the further lines of a record look like records: same number of fields, and consecutive numbers."""
    if len(header) < 2 or not fields[0].strip().isdecimal():
        return False
    first = int(fields[0]) if len(fields[0]) < 20 else 0
    below = [line.rstrip("\r\n").split(delimiter) for line in consumed[1:]]
    return all(
        len(parts) == len(header) and parts[0].strip() == str(first + number)
        for number, parts in enumerate(below, start=1)
    )


def _problem(error: Exception) -> str:
    text = str(error)
    if isinstance(error, _Unreadable):
        return text
    if "unexpected end of data" in text:
        return "a quote that opens a field of this record is never closed; close it, and double quotes within a text"
    if "expected after" in text:
        return _NOT_CLOSED
    return f"cannot be read as CSV ({text}); save the file as CSV in UTF-8"


class _Feed:
    """Lines for csv, with the number of lines consumed so far and the lines of the current record."""

    def __init__(self, source: Iterable[str]) -> None:
        self._source = iter(source)
        self._ahead: list[str] = []
        self.number = 0
        self.consumed: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.pop() if self._ahead else next(self._source)
        self.number += 1
        self.consumed.append(line)
        return line

    def peek(self) -> str | None:
        if not self._ahead:
            line = next(self._source, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[-1]

    def skip(self) -> None:
        """Skip a line that is not part of a record."""
        next(self, None)
