"""The samples of one source, of which only a few bytes each are in memory."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from clues.data.layouts.dialects import RecordError
from clues.data.layouts.identity import own_id
from clues.data.records.rows import Row
from clues.data.sample import Sample, Unusable, values_of
from clues.io.spool import Spooled

Keys = np.ndarray[Any, np.dtype[np.uint64]]
Domain = tuple[str, Any]  # the name, and what the record has in that field


class Source:
    """The content of one source: its samples, spooled to disk, and its unusable records.

    Repeated ids and contents are found by 8-byte hashes; samples with equal hashes are then compared in full.
    """

    def __init__(self) -> None:
        self.samples = Spooled(values_of, Sample)
        self.files: list[Path] = []  # those with samples, in order
        self._unusable: list[tuple[float, Unusable]] = []  # each with the number of samples before it
        # Per sample: hash of its id, number of its file, whether the record names the id, and which combination of
        # domain and unused fields it has.
        self._keys = array("Q")
        self._file = array("I")
        self._named = bytearray()
        self._combination = array("I")
        self._combinations: dict[tuple[Domain, tuple[str, ...]], int] = {}

    def add(self, row: Row, sample: Sample, *, unused: Iterable[str]) -> None:
        """Add the sample of a row and the names of its unused fields. Without an id, its id is its content's digest.

        Raises:
            OutputError: the folder of temporary files is full.
        """
        named = bool(sample.id)
        if not named:
            sample = replace(sample, id=sample.content_digest[:16])
        if not self.files or (self.files[-1] is not row.file and self.files[-1] != row.file):
            self.files.append(row.file)
        raw = sample.record.get("domain")
        domain = (sample.domain, raw if raw is None or isinstance(raw, str) else False)
        self.samples.append(sample)
        self._keys.append(_key(sample.id))
        self._file.append(len(self.files) - 1)
        self._named.append(named)
        self._combination.append(self._combinations.setdefault((domain, tuple(unused)), len(self._combinations)))

    def refuse(self, row: Row, reason: str) -> None:
        """Set aside the record of a row that cannot be used."""
        record = {"raw": row.raw} if row.record is None else row.record
        self._unusable.append((len(self.samples), Unusable(row.place, _id_or_none(row), reason, record)))

    def finish(self) -> None:
        """After the last record: number equal samples without ids, and set aside samples whose ids repeat."""
        self._number_copies()
        self._refuse_repeated()

    @property
    def unusable(self) -> list[Unusable]:
        """The records that cannot be used, in order."""
        return [record for _, record in self._unusable]

    def file(self, number: int) -> Path:
        """The file of a sample."""
        return self.files[self._file[number]]

    def has_named_id(self, number: int) -> bool:
        """Whether the record of a sample names its id."""
        return bool(self._named[number])

    def keys(self) -> Keys:
        """A hash of the id of each sample, for `repeated`."""
        return np.array(self._keys, dtype=np.uint64)

    def domains(self) -> list[Domain]:
        """The distinct domains of the samples, in order of appearance."""
        return list(dict.fromkeys(domain for domain, _ in self._present()))

    def unused(self) -> list[str]:
        """The distinct names of unused fields."""
        return list(dict.fromkeys(name for _, names in self._present() for name in names))

    def rename(self, number: int, identity: str) -> None:
        """Give a sample another id."""
        self.samples[number] = replace(self.samples[number], id=identity)
        self._keys[number] = _key(identity)

    def leave_out(self, numbers: Iterable[int]) -> None:
        """Remove samples; later ones move up."""
        kept = np.ones(len(self.samples), dtype=bool)
        kept[np.fromiter(numbers, dtype=np.int64)] = False
        self.samples.keep(np.flatnonzero(kept).tolist())
        self._keys = array("Q", np.array(self._keys)[kept].tobytes())
        self._file = array("I", np.array(self._file)[kept].tobytes())
        self._named = bytearray(np.array(self._named)[kept].tobytes())
        self._combination = array("I", np.array(self._combination)[kept].tobytes())

    def _number_copies(self) -> None:
        """Number samples without ids and with equal content: the second is DIGEST-2."""
        if 0 not in self._named:
            return
        for numbers in repeated(self.keys()):
            counts: Counter[str] = Counter()
            for number in numbers:
                if self.has_named_id(number):
                    continue
                identity = self.samples[number].id
                counts[identity] += 1
                if counts[identity] > 1:
                    self.rename(number, f"{identity}-{counts[identity]}")

    def _refuse_repeated(self) -> None:
        """Refuse all but the first of the samples with the same id in the same file."""
        refused: list[tuple[float, Unusable]] = []
        # Shards often number from zero each, so ids are compared within a file.
        by_file = np.array(self._file).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        for numbers in repeated(self.keys() + by_file):
            first: dict[tuple[int, str], tuple[int, str]] = {}
            for number in numbers:
                sample = self.samples[number]
                original, place = first.setdefault((self._file[number], sample.id), (number, sample.place))
                if original != number:
                    at = place.removeprefix(f"{self.file(number)}, ")
                    reason = f"field 'id' repeats '{sample.id}' of {at}; ids must be unique"
                    identity = sample.id if self.has_named_id(number) else None
                    # Sorts after records refused before this sample, and before those refused after it.
                    refused.append((number + 0.5, Unusable(sample.place, identity, reason, sample.record)))
        if refused:
            self.leave_out(int(number) for number, _ in refused)
            self._unusable = sorted([*self._unusable, *refused], key=lambda pair: pair[0])

    def _present(self) -> list[tuple[Domain, tuple[str, ...]]]:
        present, first = np.unique(np.array(self._combination), return_index=True)
        combinations = list(self._combinations)
        return [combinations[number] for number in present[np.argsort(first)].tolist()]


def repeated(keys: Keys) -> Iterator[list[int]]:
    """The positions of each key that occurs more than once, in ascending order."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    equal = np.flatnonzero(ordered[1:] == ordered[:-1])  # to the next one
    starts = equal[np.diff(equal, prepend=-2) > 1]
    ends = equal[np.diff(equal, append=len(keys) + 1) > 1] + 2
    for start, end in zip(starts, ends, strict=True):
        yield order[start:end].tolist()


def _key(identity: str) -> int:
    return hash(identity) & 0xFFFFFFFFFFFFFFFF


def _id_or_none(row: Row) -> str | None:
    try:
        return own_id(row.record or {})
    except RecordError:
        return None
