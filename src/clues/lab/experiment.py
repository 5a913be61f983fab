"""`clues partition`: turn one clean file into the clients and public files of an experiment."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

from clues.data.layouts.dialects import RecordError
from clues.data.layouts.identity import own_id
from clues.data.reading import with_layout
from clues.data.records.rows import listed
from clues.data.records.sources import rows
from clues.data.records.text import stem
from clues.data.records.values import blank
from clues.errors import ConfigError, DataError, OutputError
from clues.lab.corruption import check_damage
from clues.lab.partition import PUBLIC, Client, Damage, deal, set_aside, write_partition
from clues.lab.splitting import dirichlet_shares
from clues.settings import PartitionSettings


def partition(settings: PartitionSettings, out: Path) -> dict[str, str]:
    """Write the files of `clues.lab.partition` into `out`; returns, by client, how much of it is low-quality.

    Raises:
        ConfigError: a kind of damage or a client is not known.
        DataError: the records do not suffice.
        OutputError: `out` exists.
    """
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another --out or remove it.")
    check_damage(max(settings.shares), settings.kinds, settings.severity)
    names, by = settings.clients, settings.by
    records = _records(settings)
    if by:
        known = sorted({str(record.get(by)) for record in records})
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(f"clients: field '{by}' never is {', '.join(unknown)}, only {', '.join(known)}.")
        records = [record for record in records if str(record.get(by)) in names]
    sizes = dict(zip(PUBLIC, (settings.validation, settings.anchors, settings.tests), strict=True))
    rng = random.Random(settings.seed)
    domains = sorted({record["domain"] for record in records})
    public, left = set_aside([[r for r in records if r["domain"] == domain] for domain in domains], sizes, rng)
    rng.shuffle(left)
    hands = deal(left, names, settings.per_client, by)
    made = {name: Client(hands[name], share) for name, share in zip(names, _low(settings), strict=True)}
    write_partition(out, made, public, Damage(settings.kinds, settings.severity, settings.data), settings.seed)
    return {name: f"{len(c.records)} samples, {round(c.low * len(c.records))} low-quality" for name, c in made.items()}


def _low(settings: PartitionSettings) -> list[float]:
    """The share of low-quality samples of each client."""
    count = len(settings.clients)
    if settings.dirichlet:
        return dirichlet_shares(count, settings.shares[0], settings.dirichlet, settings.seed)
    return settings.shares if len(settings.shares) == count else settings.shares * count


def _records(settings: PartitionSettings) -> list[dict[str, Any]]:
    """The records with a domain each, and ids of their own: one that repeats gets a number as well."""
    domain, longest = settings.domain, settings.max_words
    layout, found = with_layout(settings.samples, rows(settings.samples), settings.data)
    seen: Counter[str] = Counter()
    records, problems = [], []
    for number, row in enumerate(found, start=1):
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
