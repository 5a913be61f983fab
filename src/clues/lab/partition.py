"""`clues partition`: turn one clean file into an experiment: clients of known quality, clean public files and tests."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clues.data.layouts.dialects import RecordError
from clues.data.layouts.identity import own_id
from clues.data.reading import with_layout
from clues.data.records.rows import listed
from clues.data.records.sources import rows
from clues.data.records.text import stem
from clues.data.records.values import blank
from clues.data.samples import read_samples
from clues.errors import ConfigError, DataError, OutputError
from clues.io.files import write_jsonl
from clues.lab.corruption import Corruption, corrupt
from clues.settings import DataSettings, PartitionSettings

PUBLIC = ("validation", "anchors", "test")
Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Client:
    """A client to create: its clean records, and the share of them to corrupt."""

    records: Sequence[dict[str, Any]]
    low: float


@dataclass(frozen=True)
class Partition:
    """An experiment's clients and clean public records. `data`: how the records are read."""

    clients: Mapping[str, Client]
    public: Mapping[str, Sequence[dict[str, Any]]]
    corruption: Corruption
    data: DataSettings = field(default_factory=DataSettings)


def partition(settings: PartitionSettings, out: Path) -> dict[str, str]:
    """Write the files of a partition to `out`; return, by client, how many of its samples are low-quality.

    Raises:
        ConfigError: a corruption type or a client is unknown.
        DataError: there are not enough records.
        OutputError: `out` exists.
    """
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another --out or remove it.")
    corruption = Corruption(settings.kinds, settings.severity)
    corruption.check(max(settings.shares))
    names, by = settings.clients, settings.by
    records = _records(settings)
    if by:
        known = sorted({str(record.get(by)) for record in records})
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(f"clients: field '{by}' is never {', '.join(unknown)}, only {', '.join(known)}.")
        records = [record for record in records if str(record.get(by)) in names]
    sizes = dict(zip(PUBLIC, (settings.validation, settings.anchors, settings.tests), strict=True))
    rng = random.Random(settings.seed)
    domains = sorted({record["domain"] for record in records})
    public, private = split_public(
        [[r for r in records if r["domain"] == domain] for domain in domains], sizes=sizes, rng=rng
    )
    rng.shuffle(private)
    owned = deal(private, names, samples=settings.per_client, by=by)
    clients = {name: Client(owned[name], share) for name, share in zip(names, _low_shares(settings), strict=True)}
    write_partition(out, Partition(clients, public, corruption, settings.data), seed=settings.seed)
    return {
        name: f"{len(client.records)} samples, {round(client.low * len(client.records))} low-quality"
        for name, client in clients.items()
    }


def split_public(
    domains: Iterable[Sequence[dict[str, Any]]], *, sizes: Mapping[str, int], rng: random.Random
) -> tuple[dict[str, Records], Records]:
    """Draw disjoint random public parts from the records of each domain.

    Args:
        domains: the records of each domain.
        sizes: samples per domain for each of `PUBLIC`.

    Returns:
        (records by part, remaining records).

    Raises:
        DataError: there are not enough records.
    """
    needed = sum(sizes.values())
    parts: dict[str, Records] = {part: [] for part in sizes}
    remaining: Records = []
    for records in domains:
        if needed >= len(records):
            raise DataError(
                f"{len(records)} records are too few for {needed} public samples ({', '.join(sizes)}); ask for fewer."
            )
        shuffled = list(records)
        rng.shuffle(shuffled)
        for part, size in sizes.items():
            parts[part] += shuffled[:size]
            shuffled = shuffled[size:]
        remaining += shuffled
    return parts, remaining


def deal(
    records: Sequence[dict[str, Any]], clients: Sequence[str], *, samples: int, by: str | None
) -> dict[str, Records]:
    """At most `samples` records per client: those whose field `by` names the client, or every K-th if it is None.

    Raises:
        DataError: a client gets fewer than two records.
    """
    owned: dict[str, Records] = defaultdict(list)
    for position, record in enumerate(records):
        owned[str(record.get(by)) if by else clients[position % len(clients)]].append(record)
    poor = [client for client in clients if len(owned[client]) < 2]
    if poor:
        raise DataError(f"client {', '.join(poor)}: fewer than two records are left; ask for fewer public samples.")
    return {client: owned[client][:samples] for client in clients}


def write_partition(folder: Path, content: Partition, *, seed: int) -> None:
    """Write CLIENT.jsonl and CLIENT.labels.jsonl for each client, and PART.jsonl for each public part."""
    for name, client in content.clients.items():
        file = folder / f"{name}.jsonl"
        write_jsonl(file, client.records)
        samples = read_samples(file, content.data)
        mixed, labels = corrupt(samples, content.corruption, share=client.low, seed=seed)
        write_jsonl(file, mixed)
        write_jsonl(folder / f"{name}.labels.jsonl", labels)
    for part, records in content.public.items():
        write_jsonl(folder / f"{part}.jsonl", records)


def dirichlet_shares(clients: int, share: float, *, beta: float, seed: int) -> list[float]:
    """Shares of low quality from a symmetric Dirichlet(β), each at most 1, with mean `share`; small β: very uneven.

    The excess of shares above 1 is spread over the others, so that the mean is preserved.
    """
    shares = np.random.default_rng(seed).dirichlet([beta] * clients) * share * clients
    while shares.max() > 1 + 1e-12:
        excess = (shares - 1).clip(min=0).sum()
        shares = shares.clip(max=1)
        room = 1 - shares
        shares = shares + room * excess / room.sum()
    return [float(value) for value in shares]


def _low_shares(settings: PartitionSettings) -> list[float]:
    """The share of low-quality samples of each client."""
    count = len(settings.clients)
    if settings.dirichlet:
        return dirichlet_shares(count, settings.shares[0], beta=settings.dirichlet, seed=settings.seed)
    return settings.shares if len(settings.shares) == count else settings.shares * count


def _records(settings: PartitionSettings) -> Records:
    """The records with a domain and a unique id each: a repeated id gets a number appended."""
    domain, longest = settings.domain, settings.max_words
    layout, source_rows = with_layout(settings.samples, rows(settings.samples), data=settings.data)
    seen: Counter[str] = Counter()
    records, problems = [], []
    for number, row in enumerate(source_rows, start=1):
        record = row.record or {}
        try:
            if row.record is None:
                raise RecordError(row.problem)
            response = layout.read(record)[1]
            if longest and len(response.split()) > longest:
                continue
            if domain and blank(record.get(domain)):
                raise RecordError(f"has no field '{domain}'; name another --domain")
            identity = own_id(record) or str(number)
        except RecordError as error:
            problems.append(f"{row.place}: {error}.")
            continue
        seen[identity] += 1
        identity += f"-{seen[identity]}" if seen[identity] > 1 else ""
        records.append({**record, "id": identity, "domain": str(record[domain]) if domain else stem(settings.samples)})
    if problems:
        raise DataError(listed(problems))
    return records
