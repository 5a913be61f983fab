"""Benchmark silos out of clean records: clients of known quality, and clean public files beside them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clues.data.samples import read_samples
from clues.errors import DataError
from clues.io.files import write_jsonl
from clues.lab.corruption import corrupt
from clues.settings import DataSettings

PUBLIC = ("validation", "anchors", "test")


@dataclass(frozen=True)
class Client:
    """A silo to make: its clean records, and the share of them that becomes low-quality."""

    records: Sequence[dict[str, Any]]
    low: float


@dataclass(frozen=True)
class Damage:
    """What is done to low-quality samples (`clues.lab.corruption`), and how their records are read."""

    kinds: Sequence[str]
    severity: float = 0.5
    data: DataSettings = field(default_factory=DataSettings)


def set_aside(
    domains: Iterable[Sequence[dict[str, Any]]], sizes: Mapping[str, int], rng: random.Random
) -> tuple[dict[str, list[dict[str, Any]]], list[dict[str, Any]]]:
    """Take the public parts out of the records of every domain, at random and disjoint.

    Args:
        domains: the records of each. sizes: how many samples of a domain each of `PUBLIC` gets.

    Returns:
        (records by part, the records that are left).

    Raises:
        DataError: there are not enough records.
    """
    needed = sum(sizes.values())
    parts: dict[str, list[dict[str, Any]]] = {part: [] for part in sizes}
    left: list[dict[str, Any]] = []
    for records in domains:
        if needed >= len(records):
            raise DataError(
                f"{len(records)} records are too few for {needed} public samples ({', '.join(sizes)}); ask for fewer."
            )
        rest = list(records)
        rng.shuffle(rest)
        for part, size in sizes.items():
            parts[part] += rest[:size]
            rest = rest[size:]
        left += rest
    return parts, left


def deal(
    records: Sequence[dict[str, Any]], clients: Sequence[str], samples: int, by: str | None
) -> dict[str, list[dict[str, Any]]]:
    """At most `samples` records for each client: those whose field `by` names it, or dealt in turn.

    Raises:
        DataError: a client gets fewer than two records.
    """
    hands: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for position, record in enumerate(records):
        hands[str(record.get(by)) if by else clients[position % len(clients)]].append(record)
    poor = [client for client in clients if len(hands[client]) < 2]
    if poor:
        raise DataError(f"client {', '.join(poor)}: fewer than two records are left; ask for fewer public samples.")
    return {client: hands[client][:samples] for client in clients}


def write_partition(
    folder: Path,
    clients: Mapping[str, Client],
    public: Mapping[str, Sequence[dict[str, Any]]],
    damage: Damage,
    seed: int,
) -> None:
    """Write CLIENT.jsonl with CLIENT.labels.jsonl for each client, and PART.jsonl for each public part."""
    for name, client in clients.items():
        file = folder / f"{name}.jsonl"
        write_jsonl(file, client.records)
        mixed, labels = corrupt(read_samples(file, damage.data), client.low, damage.kinds, seed, damage.severity)
        write_jsonl(file, mixed)
        write_jsonl(folder / f"{name}.labels.jsonl", labels)
    for part, records in public.items():
        write_jsonl(folder / f"{part}.jsonl", records)
