"""Records out of CSV and its kin, strictly: what is quoted wrongly is told, and never swallows the next record.

Arrow's reader is not used: it names no line where quotes are wrong, and makes numbers of ids and answers.
"""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from clues.data.layouts.dialects import detect
from clues.data.records.rows import Row
from clues.data.records.text import lines
from clues.errors import DataError

DELIMITERS = (",", ";", "\t", "|")
_NOT_CLOSED = "a quote that opens a field here is not closed before the end of the field; double quotes within a text"


def csv_rows(file: Path) -> Iterator[Row]:
    """Every record below the header; the header tells the delimiter.

    Raises:
        DataError: there is no usable header, or from a certain line on nobody can say where a record ends.
    """
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # a text may be longer than the 131,072 characters of csv
    feed = _Feed(lines(file, newline=""))
    first = feed.peek()
    while first is not None and not first.strip():
        feed.skip()
        first = feed.peek()
    if first is None:
        return
    told = re.fullmatch(r"sep=(.)\s*", first)  # how Excel names its delimiter
    if told:
        feed.skip()
    delimiter = told.group(1) if told else _delimiter(first)
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    header: list[str] = []
    while True:
        start = feed.number + 1
        feed.held.clear()
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise DataError(f"{file}, line {start}: {_problem(error)}.") from None
        if fields is None:
            return
        if not any(field.strip() for field in fields):
            continue  # a blank line, or a row of nothing, as spreadsheets leave them at the end
        if not header:
            header = _header(file, start, fields)
            continue
        yield _row(file, start, header, fields, feed.held, delimiter)


def _row(file: Path, start: int, header: list[str], fields: list[str], held: list[str], delimiter: str) -> Row:
    if len(held) > 1 and _swallowed(header, fields, held, delimiter):
        raise DataError(f"{file}, line {start}: {_NOT_CLOSED}.")
    if len(fields) == len(header):
        return Row(file, f"line {start}", dict(zip(header, fields, strict=True)))
    counts = f"has {len(fields)} fields where the header has {len(header)}"
    problem = f"{counts}; mend it, or quote texts that hold {delimiter!r}"
    if len(held) > 1:  # nobody can say how many records this is
        raise DataError(f"{file}, line {start}: {problem}, or a quote before it is not closed.")
    return Row(file, f"line {start}", None, problem, held[0].rstrip("\r\n") if held else "")


def _header(file: Path, start: int, fields: Sequence[str]) -> list[str]:
    repeated = [name for name, count in Counter(fields).items() if count > 1]
    if repeated:
        raise DataError(f"{file}, line {start}: the header names a column twice; name each once.")
    return list(fields)


def _delimiter(line: str) -> str:
    """The delimiter under which the header names a known layout, or else most columns; a comma where none does."""
    columns = {each: next(csv.reader([line.rstrip("\r\n")], delimiter=each), []) for each in DELIMITERS}
    known = [each for each, names in columns.items() if detect(dict.fromkeys(names))]
    return known[0] if known else max(DELIMITERS, key=lambda each: len(columns[each]))


def _swallowed(header: Sequence[str], fields: Sequence[str], held: Sequence[str], delimiter: str) -> bool:
    """Whether the further lines of a record are records of their own, by count of fields and a number that goes on."""
    if len(header) < 2 or not fields[0].strip().isdecimal():
        return False
    first = int(fields[0]) if len(fields[0]) < 20 else 0
    below = [line.rstrip("\r\n").split(delimiter) for line in held[1:]]
    return all(
        len(parts) == len(header) and parts[0].strip() == str(first + number)
        for number, parts in enumerate(below, start=1)
    )


def _problem(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end of data" in text:
        return "a quote that opens a field of this record is never closed; close it, and double quotes within a text"
    if "expected after" in text:
        return _NOT_CLOSED
    return f"cannot be read as CSV ({text}); save the file as CSV in UTF-8"


class _Feed:
    """Lines for csv, with how many were given out and which belong to the record under way."""

    def __init__(self, source: Iterable[str]) -> None:
        self._source = iter(source)
        self._ahead: list[str] = []
        self.number = 0
        self.held: list[str] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._ahead.pop() if self._ahead else next(self._source)
        self.number += 1
        self.held.append(line)
        return line

    def peek(self) -> str | None:
        if not self._ahead:
            line = next(self._source, None)
            if line is None:
                return None
            self._ahead.append(line)
        return self._ahead[-1]

    def skip(self) -> None:
        """Pass over a line that is no record."""
        next(self, None)
