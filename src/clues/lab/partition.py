"""`clues partition`: turn clean or judged samples into an experiment: clients of known quality, good public files."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clues.data.layouts.dialects import RecordError
from clues.data.layouts.identity import own_id
from clues.data.reading import default_domain, with_layout
from clues.data.records.rows import listed
from clues.data.records.sources import rows
from clues.data.records.text import stem
from clues.data.records.values import blank
from clues.data.samples import read_samples
from clues.errors import ConfigError, DataError, OutputError
from clues.io.files import write_jsonl
from clues.lab.corruption import Corruption, corrupt
from clues.lab.judged import at_shares, check_judged, natural_shares, without_labels
from clues.settings import DataSettings, PartitionSettings

PUBLIC = ("validation", "anchors", "test")
Records = list[dict[str, Any]]
# Characters of scripts without spaces between words.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


@dataclass(frozen=True)
class Client:
    """A client to create: its records, and the share of them that is or will be of low quality."""

    records: Sequence[dict[str, Any]]
    low: float


@dataclass(frozen=True)
class Partition:
    """An experiment's clients and good public records. `data`: how the records are read.

    `labels`: by id, of judged records; clean ones have none, and are corrupted.
    """

    clients: Mapping[str, Client]
    public: Mapping[str, Sequence[dict[str, Any]]]
    corruption: Corruption
    data: DataSettings = field(default_factory=DataSettings)
    labels: Mapping[str, dict[str, Any]] = field(default_factory=dict)


def partition(settings: PartitionSettings, out: Path) -> dict[str, str]:
    """Write the files of a partition to `out`; return, by client, how many of its samples are low-quality.

    Raises:
        ConfigError: a corruption type or a client is unknown.
        DataError: records cannot be used, or there are not enough.
        OutputError: `out` exists.
    """
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another --out or remove it.")
    corruption = Corruption(settings.kinds, settings.severity)
    corruption.check(max(settings.shares))
    names, by = settings.clients, settings.by
    records, labels = without_labels(_records(settings)) if settings.judged else (_records(settings), {})
    if by:
        known = sorted({str(record.get(by)) for record in records})
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(
                f"clients: field '{by}' is never {', '.join(unknown)}, only {', '.join(known)}; name some of these."
            )
        records = [record for record in records if str(record.get(by)) in names]
    low = {identity for identity, label in labels.items() if label["quality"] == "low"}
    good = [record for record in records if record["id"] not in low]
    sizes = dict(zip(PUBLIC, (settings.validation, settings.anchors, settings.tests), strict=True))
    rng = random.Random(settings.seed)
    domains = sorted({record["domain"] for record in records})
    public, private = split_public(
        {domain: [r for r in good if r["domain"] == domain] for domain in domains}.items(), sizes=sizes, rng=rng
    )
    private += [record for record in records if record["id"] in low]
    rng.shuffle(private)
    owned = deal(private, names, samples=None if settings.judged else settings.per_client, by=by)
    shares = natural_shares(records, names, low=low, by=by) if settings.natural else _low_shares(settings)
    if settings.judged:
        owned = at_shares(owned, shares, low=low, most=settings.per_client)
    clients = {name: Client(owned[name], share) for name, share in zip(names, shares, strict=True)}
    write_partition(out, Partition(clients, public, corruption, settings.data, labels), seed=settings.seed)
    return {
        name: f"{len(client.records)} samples, {round(client.low * len(client.records))} low-quality"
        for name, client in clients.items()
    }


def split_public(
    domains: Iterable[tuple[str, Sequence[dict[str, Any]]]], *, sizes: Mapping[str, int], rng: random.Random
) -> tuple[dict[str, Records], Records]:
    """Draw disjoint random public parts from the records of each domain.

    Args:
        domains: the name and the good records of each domain.
        sizes: samples per domain for each of `PUBLIC`.

    Returns:
        (records by part, remaining records).

    Raises:
        DataError: there are not enough records; lists all such domains.
    """
    needed, named = sum(sizes.values()), ", ".join(part for part, size in sizes.items() if size)
    parts: dict[str, Records] = {part: [] for part in sizes}
    remaining: Records = []
    problems = []
    for domain, records in domains:
        if needed >= len(records):
            problems.append(
                f"domain {domain}: {len(records)} good records are too few for {needed} public samples ({named}); "
                "ask for fewer, and leave some for clients."
            )
        shuffled = list(records)
        rng.shuffle(shuffled)
        for part, size in sizes.items():
            parts[part] += shuffled[:size]
            shuffled = shuffled[size:]
        remaining += shuffled
    if problems:
        raise DataError(listed(problems))
    return parts, remaining


def deal(
    records: Sequence[dict[str, Any]], clients: Sequence[str], *, samples: int | None, by: str | None
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
    """Write CLIENT.jsonl and CLIENT.labels.jsonl for each client, and PART.jsonl for each public part with samples."""
    for name, client in content.clients.items():
        file = folder / f"{name}.jsonl"
        write_jsonl(file, client.records)
        if content.labels:
            labels = [content.labels[record["id"]] for record in client.records]
        else:
            samples = read_samples(file, content.data)
            mixed, labels = corrupt(samples, content.corruption, share=client.low, seed=seed)
            write_jsonl(file, mixed)
        write_jsonl(folder / f"{name}.labels.jsonl", labels)
    for part, records in content.public.items():
        if records:
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
    domain, longest, default = settings.domain, settings.max_words, default_domain(settings.samples)
    layout, source_rows = with_layout(settings.samples, rows(settings.samples), data=settings.data)
    seen: Counter[str] = Counter()
    records, problems = [], []
    for number, row in enumerate(source_rows, start=1):
        record = row.record or {}
        try:
            if row.record is None:
                raise RecordError(row.problem)
            response = layout.read(record)[1]
            if longest and _words(response) > longest:
                continue
            if settings.judged:
                check_judged(record)
            if domain and blank(record.get(domain)):
                raise RecordError(f"has no field '{domain}'; name another --domain")
            identity = own_id(record) or str(number)
        except RecordError as error:
            problems.append(f"{row.place}: {error}.")
            continue
        seen[identity] += 1
        identity += f"-{seen[identity]}" if seen[identity] > 1 else ""
        named = str(record[domain]) if domain else default or stem(row.file)
        records.append({**record, "id": identity, "domain": named})
    if problems:
        raise DataError(listed(problems))
    return records


def _words(text: str) -> int:
    """The number of words; two characters of a script without spaces count as one."""
    return len(text.split()) + len(_UNSPACED.findall(text)) // 2
