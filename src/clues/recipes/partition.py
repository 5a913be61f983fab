"""`clues partition`: turn one clean file into the clients and public files of an experiment."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clues.data.corruption import check_damage
from clues.data.partition import PUBLIC, Client, Damage, deal, set_aside, write_partition
from clues.data.samples import read_samples
from clues.data.splitting import dirichlet_shares
from clues.errors import ConfigError, DataError, OutputError


def partition(
    source: str,
    out: Path,
    clients: str,
    by: str | None,
    domain: str | None,
    shares: str,
    dirichlet: float | None,
    kinds: Sequence[str],
    severity: float,
    sizes: Mapping[str, int],
    samples: int,
    seed: int,
) -> dict[str, str]:
    """Write the files of `clues.data.partition` into `out`; returns, by client, how much of it is low-quality.

    Args:
        clients: how many, or their names, comma-separated; with `by` the values of that field to take.
        domain: the field that names a sample's domain; without it all are of one domain, the file's stem.
        shares: of low quality: one for all, or one a client.
        dirichlet: β; spreads the one share unevenly over the clients.

    Raises:
        ConfigError: the options do not fit together.
        DataError: the records do not suffice.
        OutputError: `out` exists.
    """
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another --out or remove it.")
    records = [_record(sample.record, sample.id, domain, source) for sample in read_samples(source)]
    names = _names(clients, by, records)
    low = _shares(shares, dirichlet, len(names), seed)
    check_damage(max(low), kinds, severity)
    if by:
        records = [record for record in records if str(record.get(by)) in names]
    rng = random.Random(seed)
    public: dict[str, list[dict[str, Any]]] = {part: [] for part in PUBLIC}
    left: list[dict[str, Any]] = []
    for name in sorted({record["domain"] for record in records}):
        parts, rest = set_aside([r for r in records if r["domain"] == name], sizes, rng)
        for part in PUBLIC:
            public[part] += parts[part]
        left += rest
    rng.shuffle(left)
    hands = deal(left, names, samples, by)
    made = {name: Client(hands[name], share) for name, share in zip(names, low, strict=True)}
    write_partition(out, made, public, Damage(kinds, severity), seed)
    return {name: f"{len(c.records)} samples, {round(c.low * len(c.records))} low-quality" for name, c in made.items()}


def _record(record: dict[str, Any], identity: str, domain: str | None, source: str) -> dict[str, Any]:
    if domain and not record.get(domain):
        raise DataError(f"{source}: sample '{identity}' has no field '{domain}'; name another --domain.")
    return {**record, "id": identity, "domain": str(record[domain]) if domain else Path(source).stem}


def _names(clients: str, by: str | None, records: Sequence[dict[str, Any]]) -> list[str]:
    names = [name.strip() for name in clients.split(",") if name.strip()]
    if by:
        known = Counter(str(record.get(by)) for record in records)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ConfigError(f"--clients {', '.join(unknown)}: field '{by}' names {', '.join(sorted(known))} only.")
        return names
    if not clients.isdigit() or int(clients) < 1:
        raise ConfigError("--clients: give a number, or --by FIELD and names of that field's values.")
    return [f"client-{number}" for number in range(1, int(clients) + 1)]


def _shares(shares: str, dirichlet: float | None, clients: int, seed: int) -> list[float]:
    try:
        values = [float(value) for value in shares.split(",")]
    except ValueError:
        raise ConfigError(f"--shares {shares}: write numbers from 0 to 1, comma-separated.") from None
    if any(not 0 <= value <= 1 for value in values) or len(values) not in (1, clients):
        raise ConfigError(f"--shares {shares}: give one number from 0 to 1, or one for each of {clients} clients.")
    if dirichlet is None:
        return values if len(values) == clients else values * clients
    if len(values) != 1 or dirichlet <= 0:
        raise ConfigError("--dirichlet: needs one --shares, the mean to spread, and β above 0.")
    return dirichlet_shares(clients, values[0], dirichlet, seed)
