"""Samples: conversations and their responses with stable ids, from the files people have."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import has_magic
from pathlib import Path
from typing import Any

from clues.data.layouts.dialects import (
    DIALECTS,
    Dialect,
    FieldError,
    Message,
    RecordError,
    detect,
    tools,
    unknown_layout,
)
from clues.data.layouts.identity import domain_of, file_labels, own_id
from clues.data.records.rows import Row, listed, numbered
from clues.data.records.sources import rows
from clues.data.records.text import stem
from clues.data.telling import tell_domains, tell_repeats, tell_unusable, tell_unused
from clues.errors import DataError
from clues.settings import DataSettings


@dataclass(frozen=True)
class Sample:
    """One conversation and its response.

    `context` are the turns before the response, `tools` what its record describes for the template, `record` what the
    file held, untouched, and `dialect` the layout that it was read by.
    """

    id: str
    context: list[Message]
    response: str
    domain: str
    record: dict[str, Any]
    place: str
    tools: list[dict[str, Any]] | None = None
    dialect: str = ""

    @property
    def content_digest(self) -> str:
        return _content_digest(self.context, self.response, self.tools)


@dataclass(frozen=True)
class Unusable:
    """A record of a private file that cannot be used, and why; `record` is what the file held, or its text as `raw`."""

    place: str
    id: str | None
    reason: str
    record: dict[str, Any]


@dataclass(frozen=True)
class Private:
    """A private file: its samples, and the records that cannot be used."""

    samples: list[Sample]
    unusable: list[Unusable]


@dataclass
class _Read:
    """What came out of one source; `own` are the ids of `samples` that their records name themselves."""

    samples: list[Sample]
    files: list[Path]
    own: list[bool]
    unusable: list[Unusable]


def read_samples(source: str | Path, data: DataSettings = DataSettings()) -> list[Sample]:
    """Read every sample of a source (`clues.data.records.sources`), strictly.

    A record's own `id` is its id; without one it is a digest of its content. Its `domain` field names the
    domain; without one that is the name of the source.

    Raises:
        DataError: naming file, line and field of every record that cannot be used.
    """
    return read_many([str(source)], data)


def read_records(records: Iterable[Any], name: str, data: DataSettings) -> list[Sample]:
    """Samples of records in memory, strictly. Raises DataError with all that cannot be used."""
    read = _read(name, data, list(numbered(Path(name), records, "record")))
    if read.unusable:
        raise DataError(listed(f"{bad.place}: {bad.reason}." for bad in read.unusable))
    return read.samples


def read_many(sources: Sequence[str], data: DataSettings = DataSettings()) -> list[Sample]:
    """Samples of several files together, strictly; ids that clash between files get the file's name in front.

    Raises:
        DataError: records that cannot be used, or that stand in two of the files; all of them at once.
    """
    (samples,) = _strictly([sources], data)
    return samples


def read_public(
    validation: Sequence[str], anchors: Sequence[str], data: DataSettings = DataSettings()
) -> tuple[list[Sample], list[Sample]]:
    """(validation samples, anchors), strictly; ids that clash between any of the files get the file's name in front.

    Samples that stand in both are told: anchors should set the threshold for what the validation set does not hold.

    Raises:
        DataError: as `read_many`, for all files at once.
    """
    first, second = _strictly([validation, anchors], data)
    tell_repeats(overlap(second, first), len(second), validation, anchors)
    return first, second


def read_private(source: str | Path, data: DataSettings = DataSettings()) -> Private:
    """Read a private file: a record that cannot be used is set aside with the reason, and told.

    Raises:
        DataError: the file as a whole cannot be read, or no record of it can be used.
    """
    read = _read(str(source), data)
    if not read.samples:
        raise DataError(listed(f"{bad.place}: {bad.reason}." for bad in read.unusable))
    repeated, (samples,) = _apart([[read]])
    bad = [*read.unusable, *(Unusable(s.place, s.id, reason, s.record) for s, reason in repeated)]
    _told(read, str(source))
    tell_unusable(source, [(each.place, each.reason) for each in bad], len(samples) + len(bad))
    tell_domains(str(source), [(sample.domain, sample.record.get("domain")) for sample in samples])
    return Private(samples, bad)


def parse_samples(records: Iterable[Mapping[str, Any]], name: str) -> list[Sample]:
    """Samples from the rows of `as_rows`, for example out of a message."""
    return [
        Sample(
            row["id"],
            row["context"],
            row["response"],
            row["domain"],
            {},
            f"{name}, id {row['id']}",
            row.get("tools"),
        )
        for row in records
    ]


def as_rows(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    return [
        {"id": s.id, "context": s.context, "response": s.response, "domain": s.domain}
        | ({"tools": s.tools} if s.tools else {})
        for s in samples
    ]


def overlap(samples: Iterable[Sample], others: Iterable[Sample]) -> list[str]:
    """Ids of the samples whose prompt and response also stand in `others`."""
    known = {other.content_digest for other in others}
    return [sample.id for sample in samples if sample.content_digest in known]


def _strictly(groups: Sequence[Sequence[str]], data: DataSettings) -> list[list[Sample]]:
    """The samples of several groups of sources. Raises DataError with all problems of all of them."""
    problems: list[str] = []
    read: dict[str, _Read] = {}
    for source in dict.fromkeys(source for sources in groups for source in sources):
        try:
            read[source] = _read(source, data)
        except DataError as error:
            problems += str(error).split("\n")
            continue
        problems += [f"{bad.place}: {bad.reason}." for bad in read[source].unusable]
    if problems:
        raise DataError(listed(problems))
    for source, found in read.items():
        _told(found, source)
    repeated, samples = _apart([[read[source] for source in sources] for sources in groups])
    if repeated:
        raise DataError(listed(f"{sample.place}: {reason}; remove one of the two." for sample, reason in repeated))
    for group, sources in zip(samples, groups, strict=True):
        tell_domains(", ".join(sources), [(sample.domain, sample.record.get("domain")) for sample in group])
    return samples


def _read(source: str, data: DataSettings, found: list[Row] | None = None) -> _Read:
    """Every record of a source, as a sample or as one that cannot be used. Raises DataError for the whole of it."""
    found = list(rows(source)) if found is None else found
    if not found:
        raise DataError(f"{source}: holds no records; give a file with at least one sample.")
    records = [row.record for row in found if row.record is not None]
    layout = layout_of(source, records, data)
    # A pattern's files give each their own name to their domain, a folder its name to all.
    named = "" if has_magic(source) and not Path(source).exists() else stem(source)
    read = _Read([], [], [], [])
    seen: dict[tuple[Path, str], Row] = {}
    alike: defaultdict[str, int] = defaultdict(int)
    for row in found:
        try:
            sample = _sample(row, layout, named or stem(row.file))
            own = bool(sample.id)
            if not own:
                digest = sample.content_digest[:16]
                alike[digest] += 1
                sample = replace(sample, id=digest + (f"-{alike[digest]}" if alike[digest] > 1 else ""))
            first = seen.setdefault((row.file, sample.id), row)
            if first is not row:
                raise RecordError(f"field 'id' repeats '{sample.id}' of {first.at}; ids must be unique")
        except RecordError as error:
            read.unusable.append(
                Unusable(
                    row.place, _id_or_none(row), str(error), {"raw": row.raw} if row.record is None else row.record
                )
            )
        else:
            read.samples.append(sample)
            read.files.append(row.file)
            read.own.append(own)
    return read


def _sample(row: Row, layout: Dialect, domain: str) -> Sample:
    """The sample of a row, its id empty where the record has none, `domain` its own where that has none.

    Raises:
        RecordError: it cannot be used.
    """
    if row.record is None:
        raise RecordError(row.problem)
    try:
        context, response = layout.read(row.record)
        described = tools(row.record) if "tools" in layout.also else None
    except FieldError as error:
        raise RecordError(f"{error} (dialect {layout.name})") from None
    identity, named = own_id(row.record) or "", domain_of(row.record, domain)
    return Sample(identity, context, response, named, row.record, row.place, described, layout.name)


def layout_of(source: str, records: Sequence[Mapping[str, Any]], data: DataSettings) -> Dialect:
    """The layout of a file: what the settings name, or that of the first record with one that is known.

    Raises:
        DataError: no record has one.
    """
    if data.dialect != "auto":
        return DIALECTS[data.dialect]
    layout = next((found for record in records if (found := detect(record))), None)
    if layout is None and records:
        raise DataError(f"{source}: {unknown_layout(records[0])}")
    return layout or DIALECTS["messages"]  # a file without any record is told row by row


def _id_or_none(row: Row) -> str | None:
    try:
        return own_id(row.record or {})
    except RecordError:
        return None


def _told(read: _Read, source: str) -> None:
    layout = DIALECTS[read.samples[0].dialect]
    tell_unused(source, (name for sample in read.samples for name in layout.unused(sample.record)))


def _apart(groups: Sequence[Sequence[_Read]]) -> tuple[list[tuple[Sample, str]], list[list[Sample]]]:
    """Tell apart the ids that clash between files, by the names of these.

    Returns:
        (records that stand in two files of one group, each with what it repeats; the other samples of each group). A
        record that stands in two groups keeps its id, as it is the same sample.
    """
    counts = Counter(sample.id for reads in groups for read in reads for sample in read.samples)
    contents: defaultdict[str, set[str]] = defaultdict(set)
    for sample in (sample for reads in groups for read in reads for sample in read.samples):
        if counts[sample.id] > 1:
            contents[sample.id].add(sample.content_digest)
    labels = file_labels(file for reads in groups for read in reads for file in read.files) if contents else {}
    repeated: list[tuple[Sample, str]] = []
    result: list[list[Sample]] = []
    for reads in groups:
        first: dict[tuple[str, str], Sample] = {}
        group: list[Sample] = []
        for sample, file, own in (
            row for read in reads for row in zip(read.samples, read.files, read.own, strict=True)
        ):
            if counts[sample.id] == 1:
                group.append(sample)
                continue
            key = (sample.id, sample.content_digest)
            if key in first:
                what = f"'{sample.id}' of" if own else "the record of"
                repeated.append((sample, f"repeats {what} {first[key].place}"))
                continue
            first[key] = sample
            clashes = len(contents[sample.id]) > 1
            group.append(replace(sample, id=f"{labels[file]}:{sample.id}") if clashes else sample)
        result.append(group)
    return repeated, result


def _content_digest(context: list[Message], response: str, described: list[dict[str, Any]] | None = None) -> str:
    content: list[Any] = [context, response, *([described] if described else [])]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
