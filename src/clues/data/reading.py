"""Converting the records of a source to samples, one at a time."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from glob import has_magic
from itertools import accumulate, chain
from pathlib import Path

import numpy as np

from clues.data.layouts.dialects import DIALECTS, Dialect, FieldError, RecordError, detect, tools, unknown_layout
from clues.data.layouts.identity import domain_of, file_labels, own_id
from clues.data.records.rows import Row
from clues.data.records.sources import rows
from clues.data.records.text import stem
from clues.data.sample import Sample
from clues.data.source import Source, repeated
from clues.errors import DataError
from clues.io.spool import Spooled
from clues.settings import DataSettings


def read_source(
    name: str, data: DataSettings, *, records: Iterable[Row] | None = None, layout: Dialect | None = None
) -> Source:
    """Read every record of a source, as a sample or as an unusable record.

    Args:
        records: the source's records if they are already in memory.
        layout: the layout of all records; by default, that of `with_layout`.

    Raises:
        DataError: the source as a whole cannot be read.
    """
    all_rows = iter(rows(name) if records is None else records)
    if layout is None:
        layout, all_rows = with_layout(name, all_rows, data=data)
    domain = default_domain(name)
    source = Source()
    row = None
    for row in all_rows:
        try:
            sample = _sample(row, layout, domain=domain or stem(row.file))
        except RecordError as error:
            source.refuse(row, str(error))
        else:
            source.add(row, sample, unused=layout.unused(sample.record))
    if row is None:
        raise DataError(f"{name}: contains no records; give a file with at least one sample.")
    source.finish()
    return source


def default_domain(name: str) -> str:
    """The domain of records that name none: the name of the file or folder; "" for a pattern, of each matching file."""
    return "" if has_magic(name) and not Path(name).exists() else stem(name)


def with_layout(name: str, source_rows: Iterable[Row], *, data: DataSettings) -> tuple[Dialect, Iterator[Row]]:
    """(layout of a source, all of its rows).

    The layout is the one in the settings, or that of the first record with a known layout. No row after that record is
    read before the caller asks for it.

    Raises:
        DataError: no record has a known layout.
    """
    remaining = iter(source_rows)
    if data.dialect != "auto":
        return DIALECTS[data.dialect], remaining
    seen: Spooled[Row] = Spooled()
    unknown = None
    for row in remaining:
        seen.append(row)
        if row.record is None:
            continue
        layout = detect(row.record)
        if layout is not None:
            return layout, chain(seen, remaining)
        unknown = row.record if unknown is None else unknown
    if unknown is not None:
        raise DataError(f"{name}: {unknown_layout(unknown)}")
    return DIALECTS["messages"], iter(seen)  # no usable record: each row has a problem of its own


def _sample(row: Row, layout: Dialect, *, domain: str) -> Sample:
    """The sample of a row, with an empty id if the record has none. `domain` is the default domain.

    Raises:
        RecordError: the record cannot be used.
    """
    if row.record is None:
        raise RecordError(row.problem)
    try:
        context, response = layout.read(row.record)
        described = tools(row.record) if "tools" in layout.also else None
    except FieldError as error:
        raise RecordError(f"{error} (dialect {layout.name})") from None
    return Sample(
        id=own_id(row.record) or "",
        context=context,
        response=response,
        domain=domain_of(row.record, domain),
        record=row.record,
        place=row.place,
        tools=described,
        dialect=layout.name,
    )


def resolve_ids(groups: Sequence[Sequence[Source]]) -> list[tuple[Source, int, str]]:
    """Prefix ids that clash between files with the names of the files. A record in two groups keeps its id.

    Returns:
        For each record that repeats one of another file in its group, in order: source, number there, what it repeats.
    """
    sources = [source for group in groups for source in group]
    group_of = [number for number, group in enumerate(groups) for _ in group]
    starts = list(accumulate((len(source.samples) for source in sources), initial=0))
    repeats: dict[int, str] = {}
    clashing = {id(source): array("q") for source in sources}
    for places in repeated(np.concatenate([np.zeros(0, dtype=np.uint64), *(source.keys() for source in sources)])):
        same: defaultdict[str, list[tuple[int, int, Sample]]] = defaultdict(list)
        for place in places:
            part = bisect_right(starts, place) - 1
            sample = sources[part].samples[place - starts[part]]
            same[sample.id].append((place, part, sample))
        for samples in (group for group in same.values() if len(group) > 1):
            digests = [sample.content_digest for _, _, sample in samples]
            first: dict[tuple[int, str], str] = {}
            for (place, part, sample), digest in zip(samples, digests, strict=True):
                key, number = (group_of[part], digest), place - starts[part]
                if key in first:
                    what = f"'{sample.id}' of" if sources[part].has_named_id(number) else "the record of"
                    repeats[place] = f"repeats {what} {first[key]}"
                    continue
                first[key] = sample.place
                if len(set(digests)) > 1:
                    clashing[id(sources[part])].append(number)
    _name_files(sources, clashing)
    parts = [(bisect_right(starts, place) - 1, place) for place in sorted(repeats)]
    return [(sources[part], place - starts[part], repeats[place]) for part, place in parts]


def _name_files(sources: Sequence[Source], clashing: Mapping[int, Iterable[int]]) -> None:
    """Prefix the ids of clashing samples with the names of their files, once per source."""
    if not any(clashing.values()):
        return
    labels = file_labels(file for source in sources for file in source.files)
    for source in {id(source): source for source in sources}.values():
        for number in np.unique(np.array(clashing[id(source)])).tolist():
            source.rename(number, f"{labels[source.file(number)]}:{source.samples[number].id}")
