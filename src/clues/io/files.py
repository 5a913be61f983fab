"""Atomic writes: every file is written under a temporary name beside its own, then renamed."""

from __future__ import annotations

import base64
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from clues.errors import OutputError


def replace_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a file or folder beside `path`, then rename it to `path` in one step.

    The temporary name is unique, so that two processes may write the same path. If `write` raises, `path` is unchanged
    and no temporary file remains.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _beside(path, "part")
    try:
        write(part)
        _move(part, path)
    finally:
        _remove(part)


def _move(part: Path, path: Path) -> None:
    """Rename; an existing folder is renamed first, as it cannot be replaced in one step."""
    while True:
        try:
            os.replace(part, path)
            return
        except OSError:
            if not path.is_dir() and not part.is_dir():
                raise
        old = _beside(path, "old")
        try:
            os.replace(path, old)
        except FileNotFoundError:  # another process has just done so
            continue
        _remove(old)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.{kind}")


def write_json(path: Path, value: Any) -> None:
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n"
    replace_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    def write(part: Path) -> None:
        with part.open("w", encoding="utf-8") as stream:
            for row in rows:
                stream.write(json_line(row) + "\n")

    replace_whole(path, write)


def json_line(row: Mapping[str, Any]) -> str:
    """A row as JSON; in ASCII with escapes if it holds a lone surrogate, which UTF-8 cannot encode."""
    line = _ENCODER.encode(row)
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(row, default=_printed)
    return line


def _printed(value: Any) -> str:
    """A value that JSON cannot hold: bytes as base64, others as their `str`."""
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else str(value)


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=_printed)  # made once, as json.dumps makes one for every call


def write_toml(path: Path, value: Mapping[str, Any]) -> None:
    text = tomli_w.dumps(without_none(value))
    replace_whole(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_parquet(path: Path, columns: Mapping[str, Any], *, notes: Mapping[str, str] | None = None) -> None:
    """Write columns of equal length, by name; `notes` become metadata of the schema."""
    import pyarrow
    import pyarrow.parquet

    table = pyarrow.table(dict(columns), metadata=notes)
    replace_whole(path, lambda part: pyarrow.parquet.write_table(table, part))


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows as Parquet, with a column for every name in any row."""
    names = dict.fromkeys(name for row in rows for name in row)
    write_parquet(path, {name: [row.get(name) for row in rows] for name in names})


def read_json(path: Path) -> Any:
    """Raises OutputError if the file is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(
            f"{path}: cannot be read ({type(error).__name__}); remove its folder and make it again."
        ) from None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    elif path.exists():
        path.unlink()


def without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: without_none(item) for key, item in value.items() if item is not None}
    if isinstance(value, list | tuple):
        return [without_none(item) for item in value]
    return value
