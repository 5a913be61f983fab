"""Reading samples: prompt/response pairs with stable ids, from the formats people have."""

from __future__ import annotations

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clues.data.dialects import DIALECTS, Dialect, FieldError, Message, detect
from clues.errors import DataError
from clues.settings import DataSettings

# Columns of scores.parquet.
RESERVED_DOMAINS = {"id", "score", "dot", "cosine", "paper", "loss", "norm", "base_loss"}
RESERVED_DOMAINS |= {"agreement", "trained loss", "peak", "end", "gain", "peak gain"}


@dataclass(frozen=True)
class Sample:
    """One prompt/response pair; `record` is what the file held, untouched."""

    id: str
    context: list[Message]
    response: str
    domain: str
    record: dict[str, Any]
    place: str

    @property
    def content_digest(self) -> str:
        return _content_digest(self.context, self.response)


def read_samples(source: str | Path, data: DataSettings = DataSettings()) -> list[Sample]:
    """Read every sample of a JSONL, JSON, CSV or Parquet file, a folder saved by `datasets`, or a Hub data set.

    A record's own `id` is its id; without one it is a digest of its content. Its `domain` field names the
    domain; without one that is the file's stem.

    Raises:
        DataError: naming file, line and field of the first record that cannot be used.
    """
    rows = list(read_records(source))
    if not rows:
        raise DataError(f"{source}: holds no records; give a file with at least one sample.")
    layout = _layout(source, rows[0][1], data.dialect)
    samples: list[Sample] = []
    repeats: Counter[str] = Counter()
    seen: dict[str, str] = {}
    for place, record in rows:
        try:
            context, response = layout.read(record)
        except FieldError as error:
            raise DataError(f"{place}: {error} (dialect {layout.name}).") from None
        identity = record.get("id")
        if identity is None:
            identity = _content_digest(context, response)[:16]
            repeats[identity] += 1
            if repeats[identity] > 1:
                identity = f"{identity}-{repeats[identity]}"
        identity = str(identity)
        if identity in seen:
            raise DataError(f"{place}: field 'id' repeats '{identity}' of {seen[identity]}; ids must be unique.")
        seen[identity] = place
        samples.append(Sample(identity, context, response, _domain(source, place, record), record, place))
    return samples


def read_many(sources: Sequence[str], data: DataSettings = DataSettings()) -> list[Sample]:
    """Samples of several files together. Raises DataError where two files share an id."""
    samples = [sample for source in sources for sample in read_samples(source, data)]
    first: dict[str, Sample] = {}
    for sample in samples:
        if sample.id in first:
            raise DataError(f"{sample.place}: field 'id' repeats '{sample.id}' of {first[sample.id].place}.")
        first[sample.id] = sample
    return samples


def parse_samples(records: Iterable[Mapping[str, Any]], name: str) -> list[Sample]:
    """Samples from the rows of `as_rows`, for example out of a message."""
    return [
        Sample(row["id"], row["context"], row["response"], row["domain"], {}, f"{name}, id {row['id']}")
        for row in records
    ]


def as_rows(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    return [{"id": s.id, "context": s.context, "response": s.response, "domain": s.domain} for s in samples]


def overlap(samples: Iterable[Sample], others: Iterable[Sample]) -> list[str]:
    """Ids of the samples whose prompt and response also stand in `others`."""
    known = {other.content_digest for other in others}
    return [sample.id for sample in samples if sample.content_digest in known]


def read_records(source: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (place, record) of every record of a source."""
    path = Path(source)
    if path.is_dir():
        yield from _of_rows(path, _load_folder(path), "row")
    elif path.is_file():
        readers = {".jsonl": _jsonl, ".json": _json, ".csv": _csv, ".parquet": _parquet}
        if path.suffix.lower() not in readers:
            raise DataError(f"{path}: unknown kind of file; use {', '.join(readers)} or a folder of datasets.")
        yield from readers[path.suffix.lower()](path)
    elif path.suffix or str(source).count("/") != 1:
        raise DataError(f"{source}: no such file or folder; check the path.")
    else:
        yield from _of_rows(path, _load_hub(str(source)), "row")


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream, start=1):
                if line.strip():
                    yield f"{path}, line {number}", _object(line, f"{path}, line {number}")
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; convert it to UTF-8.") from None


def _object(text: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: broken JSON at column {error.colno}; mend or remove the line.") from None
    if not isinstance(value, dict):
        raise DataError(f"{place}: is not a JSON object; write one object a line.")
    return value


def _json(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}: broken JSON at column {error.colno}; mend it.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text; convert it to UTF-8.") from None
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise DataError(f"{path}: is not a JSON list of objects; write [{{…}}, {{…}}].")
    yield from _of_rows(path, value, "record")


def _csv(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        for row in reader:
            if None in row or None in row.values():
                raise DataError(f"{path}, line {reader.line_num}: has not as many fields as the header; mend it.")
            yield f"{path}, line {reader.line_num}", dict(row)


def _parquet(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except pyarrow.ArrowInvalid:
        raise DataError(f"{path}: is not a Parquet file; check how it was written.") from None
    yield from _of_rows(path, rows, "row")


def _load_folder(path: Path) -> Iterable[dict[str, Any]]:
    import datasets

    try:
        loaded = datasets.load_from_disk(str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: is not a folder saved by datasets; name a file instead.") from None
    if isinstance(loaded, datasets.DatasetDict):
        raise DataError(f"{path}: holds several splits ({', '.join(loaded)}); name the folder of one of them.")
    return [dict(row) for row in loaded]


def _load_hub(name: str) -> Iterable[dict[str, Any]]:
    import datasets

    try:
        return [dict(row) for row in datasets.load_dataset(name, split="train")]
    except Exception as error:
        raise DataError(
            f"{name}: is no file here and could not be loaded from the Hub ({type(error).__name__}); check the name."
        ) from None


def _of_rows(path: Path, rows: Iterable[dict[str, Any]], unit: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, row in enumerate(rows, start=1):
        yield f"{path}, {unit} {number}", row


def _layout(source: str | Path, record: Mapping[str, Any], dialect: str) -> Dialect:
    if dialect != "auto":
        return DIALECTS[dialect]
    found = detect(record)
    if found is None:
        known = "; ".join(f"{d.name} ({', '.join(d.fields)})" for d in DIALECTS.values())
        raise DataError(f"{source}: fields {', '.join(record)} fit no known dialect; rename them to one of: {known}.")
    return found


def _domain(source: str | Path, place: str, record: Mapping[str, Any]) -> str:
    domain = str(record.get("domain") or Path(source).stem)
    if domain in RESERVED_DOMAINS:
        raise DataError(f"{place}: domain '{domain}' is the name of a column of ours; choose another name.")
    return domain


def _content_digest(context: list[Message], response: str) -> str:
    return hashlib.sha256(json.dumps([context, response], ensure_ascii=False).encode()).hexdigest()
