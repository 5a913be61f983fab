"""Samples: conversations and their responses with stable ids, from the files people have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from clues.data.layouts.dialects import Dialect
from clues.data.reading import read_source, resolve_ids
from clues.data.records.rows import listed, numbered
from clues.data.sample import Sample, Unusable
from clues.data.source import Source
from clues.data.telling import tell_domains, tell_repeats, tell_unusable, tell_unused
from clues.errors import DataError
from clues.settings import DataSettings

__all__ = [
    "Private",
    "PublicSamples",
    "Sample",
    "Unusable",
    "as_rows",
    "overlap",
    "parse_samples",
    "read_many",
    "read_private",
    "read_public",
    "read_records",
    "read_samples",
]


class PublicSamples(NamedTuple):
    """Samples that everybody knows: the validation set says what is good, the anchors set the threshold."""

    validation: Sequence[Sample]
    anchors: Sequence[Sample]


@dataclass(frozen=True)
class Private:
    """A private file: its samples, which need not fit into memory, and its unusable records."""

    samples: Sequence[Sample]
    unusable: list[Unusable]


def read_samples(source: str | Path, data: DataSettings = DataSettings()) -> list[Sample]:
    """Read every sample of a source (`clues.data.records.sources`), strictly.

    A sample's id is the record's `id`, or a digest of its content. Its domain is the record's `domain`, or the name of
    the source.

    Raises:
        DataError: records cannot be used; names file, line and field of each.
    """
    return read_many([str(source)], data)


def read_records(records: Iterable[Any], name: str, data: DataSettings = DataSettings()) -> Sequence[Sample]:
    """Read samples from records in memory, in any layout that a file may have, strictly.

    Args:
        name: what error messages call the records.

    Raises:
        DataError: records cannot be used; lists all of them.
    """
    source = read_source(name, data, records=numbered(Path(name), records, unit="record"))
    if source.unusable:
        raise DataError(listed(f"{bad.place}: {bad.reason}." for bad in source.unusable))
    tell_unused(name, source.unused())
    return source.samples


def read_many(
    sources: Sequence[str], data: DataSettings = DataSettings(), *, layout: Dialect | None = None
) -> list[Sample]:
    """Read several files strictly. Ids that clash between files are prefixed with the file's name.

    Args:
        layout: the layout of all files; by default, that of the settings or of each file's records.

    Raises:
        DataError: records cannot be used, or appear in two of the files; lists all of them.
    """
    (samples,) = _strictly([sources], data, layout=layout)
    return samples


def read_public(
    *, validation: Sequence[str], anchors: Sequence[str], data: DataSettings = DataSettings()
) -> PublicSamples:
    """Read validation samples and anchors strictly. Ids that clash between files are prefixed with the file's name.

    Warns of samples in both: anchors should set the threshold on samples that the validation set does not contain.

    Raises:
        DataError: as `read_many`, for all files at once.
    """
    first, second = _strictly([validation, anchors], data)
    tell_repeats(overlap(second, first), len(second), validation, anchors)
    return PublicSamples(first, second)


def read_private(source: str | Path, data: DataSettings = DataSettings()) -> Private:
    """Read a private file. Unusable records are set aside, each with the reason, and reported.

    Raises:
        DataError: the file as a whole cannot be read, or no record of it can be used.
    """
    read = read_source(str(source), data)
    if not read.samples:
        raise DataError(listed(f"{bad.place}: {bad.reason}." for bad in read.unusable))
    tell_unused(source, read.unused())
    repeats = {number: what for _, number, what in resolve_ids([[read]])}
    unusable = list(read.unusable)
    for number, what in repeats.items():
        sample = read.samples[number]
        unusable.append(Unusable(sample.place, sample.id, what, sample.record))
    if repeats:
        read.leave_out(repeats)
    tell_unusable(source, [(bad.place, bad.reason) for bad in unusable], total=len(read.samples) + len(unusable))
    tell_domains(str(source), read.domains())
    return Private(read.samples, unusable)


def parse_samples(records: Iterable[Mapping[str, Any]], name: str) -> list[Sample]:
    """Samples from the rows of `as_rows`, for example from a message."""
    return [
        Sample(
            id=row["id"],
            context=row["context"],
            response=row["response"],
            domain=row["domain"],
            record={},
            place=f"{name}, id {row['id']}",
            tools=row.get("tools"),
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
    """Ids of the samples whose prompt and response also appear in `others`. Only digests of `others` are kept."""
    known = {other.content_digest for other in others}
    return [sample.id for sample in samples if sample.content_digest in known]


def _strictly(
    groups: Sequence[Sequence[str]], data: DataSettings, *, layout: Dialect | None = None
) -> list[list[Sample]]:
    """The samples of several groups of sources. Raises DataError with the problems of all of them."""
    problems: list[str] = []
    read: dict[str, Source] = {}
    for name in dict.fromkeys(name for names in groups for name in names):
        try:
            read[name] = read_source(name, data, layout=layout)
        except DataError as error:
            problems += str(error).split("\n")
            continue
        problems += [f"{bad.place}: {bad.reason}." for bad in read[name].unusable]
    if problems:
        raise DataError(listed(problems))
    for name, source in read.items():
        tell_unused(name, source.unused())
    repeats = resolve_ids([[read[name] for name in names] for names in groups])
    if repeats:
        raise DataError(
            listed(
                f"{source.samples[number].place}: {what}; remove one of the two." for source, number, what in repeats
            )
        )
    for names in groups:
        tell_domains(", ".join(names), [domain for name in names for domain in read[name].domains()])
    return [[sample for name in names for sample in read[name].samples] for names in groups]
