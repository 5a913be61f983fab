"""`clues demo`: a small collaboration with the embedded model and real definitions of two fields."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from clues.collaboration.local import collaborate
from clues.io.files import read_json, write_json
from clues.io.progress import watched
from clues.lab.corruption import Corruption
from clues.lab.definitions import as_records, clinical, financial
from clues.lab.partition import PUBLIC, Client, Partition, deal, split_public, write_partition
from clues.settings import RunSettings, validated
from clues.version import __version__

_KINDS = ("exchange", "cut", "delete")
_PUBLIC_SIZES = (16, 10, 20)  # samples per domain, in the order of PUBLIC
# Each client's domain and its share of low-quality samples.
CLIENTS = {
    "neurology": ("medical", 0.8),
    "orthopedics": ("medical", 0.2),
    "products": ("financial", 0.1),
    "operations": ("financial", 0.5),
}


def demo(out: Path, *, samples: int, seed: int, overrides: list[str]) -> tuple[RunSettings, dict[str, Any]]:
    """Write the data and run the collaboration; return (settings, content of metrics.json)."""
    data = write_demo_data(data_folder(out), samples=samples, seed=seed)
    settings = validated(RunSettings, demo_settings(data, out, seed=seed), overrides)
    with watched(out, clients=list(CLIENTS)):
        return settings, collaborate(settings, out)


def data_folder(out: Path) -> Path:
    return out.with_name(out.name + "-data")


def demo_settings(data: Path, out: Path, *, seed: int) -> dict[str, Any]:
    return {
        "seed": seed,
        "out": str(out),
        "validation": [str(data / "validation.jsonl")],
        "anchors": [str(data / "anchors.jsonl")],
        "clients": [
            {"id": name, "data": str(data / f"{name}.jsonl"), "labels": str(data / f"{name}.labels.jsonl")}
            for name in CLIENTS
        ],
        "data": {"max_tokens": 160},
        # Every arm trains for the same number of steps. Only the last checkpoint is scored: gradients at earlier ones
        # mostly point to what all samples have in common.
        "training": {"steps": 15, "checkpoints": 1},
        "evaluation": {
            "tests": [str(data / "test.jsonl")],
            "arms": ["base", "mixed", "selected", "oracle", "ratio"],
        },
    }


def write_demo_data(folder: Path, *, samples: int, seed: int) -> Path:
    """Write four clients' mixed files with labels, and clean public files and tests; unless they exist already.

    Public files and tests share no definition with any client.

    Args:
        samples: per client.
    """
    stamp, facts = folder / ".made.json", [__version__, samples, seed, *_PUBLIC_SIZES]
    if stamp.is_file() and read_json(stamp) == facts:
        return folder
    rng = random.Random(seed)
    fields = (("medical", clinical()), ("financial", financial()))
    # Lazily, one domain after the other: each draws its questions and then its order.
    domains = ((domain, as_records(definitions, domain, rng=rng)) for domain, definitions in fields)
    public, private = split_public(domains, sizes=dict(zip(PUBLIC, _PUBLIC_SIZES, strict=True)), rng=rng)
    owned = deal(private, list(CLIENTS), samples=samples, by="silo")
    clients = {name: Client(owned[name], share) for name, (_, share) in CLIENTS.items()}
    write_partition(folder, Partition(clients, public, Corruption(_KINDS)), seed=seed)
    write_json(stamp, facts)
    return folder
