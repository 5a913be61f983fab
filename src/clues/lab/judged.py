"""Samples that people judged: clients get a share of low quality by choosing samples, without corrupting any."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from clues.data.layouts.dialects import RecordError
from clues.data.records.rows import listed
from clues.errors import DataError

Record = dict[str, Any]
_FIELDS = ("quality", "kind")


def check_judged(record: Mapping[str, Any]) -> None:
    """Raises RecordError if the record does not say whether it is good."""
    if record.get("quality") not in ("good", "low"):
        raise RecordError("field 'quality' is neither good nor low; add it, or leave out --judged")


def without_labels(records: Sequence[Record]) -> tuple[list[Record], dict[str, Record]]:
    """(the records without the fields of a label, the labels by id: {id, quality: good | low, kind})."""
    labels = {r["id"]: {"id": r["id"], "quality": r["quality"], "kind": r.get("kind") or ""} for r in records}
    return [{key: value for key, value in r.items() if key not in _FIELDS} for r in records], labels


def natural_shares(
    records: Sequence[Record], clients: Sequence[str], *, low: Collection[str], by: str | None
) -> list[float]:
    """The share of low quality among the records whose field `by` names each client, or among all if it is None."""
    shares = []
    for client in clients:
        own = [record["id"] in low for record in records if by is None or str(record.get(by)) == client]
        shares.append(sum(own) / len(own))
    return shares


def at_shares(
    owned: Mapping[str, Sequence[Record]], shares: Sequence[float], *, low: Collection[str], most: int
) -> dict[str, list[Record]]:
    """At most `most` records per client, as many as there are at its share of low quality.

    Args:
        low: the ids of all records of low quality.

    Raises:
        DataError: fewer than two records make up a client's share; lists all such clients.
    """
    chosen, problems = {}, []
    for (client, records), share in zip(owned.items(), shares, strict=True):
        chosen[client] = _at_share(records, share, low=low, most=most)
        if len(chosen[client]) < 2:
            count = sum(record["id"] in low for record in records)
            problems.append(
                f"client {client}: {len(records) - count} good and {count} low-quality records are too few for a share "
                f"of {share:.2g} low quality; choose another share, or ask for fewer public samples."
            )
    if problems:
        raise DataError(listed(problems))
    return chosen


def _at_share(records: Sequence[Record], share: float, *, low: Collection[str], most: int) -> list[Record]:
    """The first records, in order, of the largest set with this share of low quality."""
    count = sum(record["id"] in low for record in records)
    good = len(records) - count
    size = next(n for n in range(most, -1, -1) if round(share * n) <= count and n - round(share * n) <= good)
    left = {True: round(share * size), False: size - round(share * size)}
    chosen = []
    for record in records:
        is_low = record["id"] in low
        if left[is_low]:
            left[is_low] -= 1
            chosen.append(record)
    return chosen
