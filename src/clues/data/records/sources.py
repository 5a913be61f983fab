"""Reading the records of a source: a file, a folder, a glob pattern, or a data set of the Hub."""

from __future__ import annotations

import functools
import gzip
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from glob import glob, has_magic
from pathlib import Path

from clues.data.records.csv_rows import csv_rows
from clues.data.records.json_rows import json_lines, json_list
from clues.data.records.rows import Row, numbered
from clues.data.records.text import COMPRESSED, check_pointer, kind
from clues.errors import DataError, all_of

_TEXTS: dict[str, Callable[[Path], Iterable[Row]]] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".json": json_list,
    ".csv": csv_rows,
    ".tsv": csv_rows,
}
KINDS = (*_TEXTS, ".parquet")
# A folder of shards is read as the first of these kinds that it contains. A .json next to another kind is metadata.
_SHARDS = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".json")


def rows(source: str | Path) -> Iterator[Row]:
    """Yield every row of a source, lazily.

    JSON Lines and CSV are read line by line, Parquet and saved data sets in batches of at most a row group. Only a list
    in a JSON file is read as a whole.

    Raises:
        DataError: a file as a whole cannot be read.
    """
    for file, read in files(source):
        yield from _guarded(file, read)


def check_sources(*sources: str) -> None:
    """Whether the files of all sources are there. Their records are not read.

    Raises:
        DataError: names all sources that cannot be read.
    """
    all_of(*(functools.partial(files, source) for source in sources))


def files(source: str | Path) -> list[tuple[Path, Callable[[Path], Iterable[Row]]]]:
    """The files of a source, each with its reader.

    Raises:
        DataError: there is no such file, its kind is unknown, or a folder contains several kinds or splits.
    """
    path = Path(source)
    try:
        folder, file = path.is_dir(), path.is_file()
    except (OSError, ValueError):
        raise DataError("a file name is invalid; check the path.") from None
    if folder:
        return _of_folder(path)
    if file:
        return [(path, _reader(path))]
    if has_magic(str(source)):
        matches = sorted(Path(name) for name in glob(str(source), recursive=True))
        matches = [match for match in matches if match.is_file()]
        if not matches:
            raise DataError(f"{source}: no file matches; check the pattern.")
        return [(match, _reader(match)) for match in matches]
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(source)) and not (kind(path) in KINDS or path.suffix in COMPRESSED):
        if path.suffix and not path.suffix[1:].isdigit():  # names of data sets may end in a version number
            raise DataError(f"{source}: no such file or folder; check the path.")
        return [(path, _hub)]
    if path.exists():
        raise DataError(f"{source}: is neither a file nor a folder; write the records to a file first.")
    raise DataError(f"{source}: no such file or folder; check the path.")


def _reader(path: Path) -> Callable[[Path], Iterable[Row]]:
    if path.suffix.lower() == ".parquet":
        return _parquet
    if kind(path) not in _TEXTS:
        known = ", ".join(KINDS)
        raise DataError(f"{path}: unknown file type; use {known} (text also with .gz or .zst), or a folder of them.")
    return _TEXTS[kind(path)]


def _of_folder(path: Path) -> list[tuple[Path, Callable[[Path], Iterable[Row]]]]:
    if any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        return [(path, _saved)]
    by_kind: dict[str, list[Path]] = {}
    for file in sorted(file for file in path.iterdir() if file.is_file() and file.name[0] not in "._"):
        by_kind.setdefault(kind(file), []).append(file)
    kinds = [suffix for suffix in _SHARDS if suffix in by_kind]
    if not kinds:
        known = ", ".join(KINDS)
        raise DataError(
            f"{path}: is not a folder saved by datasets and contains no file of a known kind ({known}); "
            "name a file, or a pattern such as 'folder/**/*.jsonl'."
        )
    if any(suffix != ".json" for suffix in kinds[1:]):
        raise DataError(f"{path}: contains files of several kinds ({', '.join(kinds)}); name one: {path}/*{kinds[0]}.")
    shards = by_kind[kinds[0]]
    splits = {match.group(1) for shard in shards if (match := re.match(r"(\w+)-\d{5}-of-\d{5}", shard.name))}
    if len(splits) > 1:
        named = ", ".join(sorted(splits))
        raise DataError(f"{path}: contains several splits ({named}); name one by a pattern: {path}/{min(splits)}-*.")
    return [(shard, _reader(shard)) for shard in shards]


def _guarded(file: Path, read: Callable[[Path], Iterable[Row]]) -> Iterator[Row]:
    """Turn any error of a reader into one sentence, with the place if it is known."""
    last = ""
    try:
        for row in read(file):
            last = f", after {row.at}"
            yield row
    except DataError:
        raise
    except (gzip.BadGzipFile, EOFError, zlib.error):
        raise DataError(f"{file}{last}: is not a complete gzip file; copy or compress it again.") from None
    except RecursionError:
        raise DataError(f"{file}{last}: is nested too deeply; flatten it.") from None
    except MemoryError:
        raise DataError(f"{file}{last}: does not fit into memory; split it into files.") from None
    except OSError as error:
        reason = error.strerror or "it is truncated or damaged"
        raise DataError(f"{file}{last}: cannot be read ({reason}); check the file and its permissions.") from None
    except Exception as error:
        raise DataError(f"{file}{last}: cannot be read ({type(error).__name__}); check how it was written.") from None


def _parquet(path: Path) -> Iterator[Row]:
    """The rows of a Parquet file, read in batches. Arrow converts whole columns, so for a value that it cannot convert
    only the batch is known, not the row."""
    import pyarrow
    import pyarrow.parquet

    check_pointer(path)
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowInvalid, OSError):
        raise DataError(f"{path}: is not a Parquet file, or not a complete one; check how it was written.") from None
    names = file.schema_arrow.names
    if len(set(names)) < len(names):
        raise DataError(f"{path}: names a column twice; name each once.")
    yield from numbered(path, (row for batch in file.iter_batches(1024) for row in batch.to_pylist()), unit="row")


def _saved(path: Path) -> Iterable[Row]:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: is not a complete folder saved by datasets; save it again, or name a file.") from None
    if isinstance(loaded, datasets.DatasetDict):
        raise DataError(f"{path}: contains several splits ({', '.join(loaded)}); name the folder of one of them.")
    return numbered(path, (dict(row) for row in loaded), unit="row")


def _hub(path: Path) -> Iterable[Row]:
    import datasets

    name = path.as_posix()
    try:
        loaded = datasets.load_dataset(name, split="train")
    except Exception as error:
        raise DataError(
            f"{name}: is not a file and could not be loaded from the Hub ({type(error).__name__}); check the name."
        ) from None
    return numbered(path, (dict(row) for row in loaded), unit="row")
