"""`clues demo`: the main job at small scale, with the embedded model and real definitions of two fields."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from clues.collaboration.local import collaborate
from clues.io.files import read_json, write_json
from clues.lab.definitions import as_records, clinical, financial
from clues.lab.partition import PUBLIC, Client, Damage, deal, set_aside, write_partition
from clues.report.pages import write_run_page
from clues.settings import RunSettings, validated
from clues.version import __version__

KINDS = ("exchange", "cut", "delete")
# Which silo of which domain each client is, and the share of its samples that is low-quality (80/20/10/50 %).
CLIENTS = {
    "neurology": ("medical", 0.8),
    "orthopedics": ("medical", 0.2),
    "products": ("financial", 0.1),
    "operations": ("financial", 0.5),
}


def demo(out: Path, samples: int, seed: int, overrides: list[str]) -> tuple[RunSettings, dict[str, Any]]:
    """Make the data, run the collaboration; returns its settings and what metrics.json holds."""
    data = write_demo_data(data_folder(out), samples, seed)
    settings = validated(RunSettings, demo_settings(data, out, seed), overrides)
    metrics = collaborate(settings, out)
    write_run_page(out / "report.html", metrics, settings.model_dump(mode="json"))
    return settings, metrics


def data_folder(out: Path) -> Path:
    return out.with_name(out.name + "-data")


def demo_settings(data: Path, out: Path, seed: int) -> dict[str, Any]:
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
        # The same number of steps for every arm, so that none wins by training longer; one checkpoint, the last:
        # before an adapter has learnt what all samples share, every gradient points that way.
        "training": {"steps": 15, "checkpoints": 1},
        "evaluation": {
            "tests": [str(data / "test.jsonl")],
            "arms": ["base", "mixed", "selected", "oracle", "ratio"],
        },
    }


def write_demo_data(
    folder: Path, samples: int, seed: int, validation: int = 16, anchors: int = 10, tests: int = 20
) -> Path:
    """Four clients' mixed files with their labels, and the public files; sizes a client and a domain.

    The public files and the tests are clean and share no definition with any client.
    """
    made, facts = folder / ".made.json", [__version__, samples, seed, validation, anchors, tests]
    if made.is_file() and read_json(made) == facts:
        return folder
    rng = random.Random(seed)
    sizes = dict(zip(PUBLIC, (validation, anchors, tests), strict=True))
    fields = (("medical", clinical()), ("financial", financial()))
    # One domain after the other: each draws its questions and then its order.
    public, left = set_aside((as_records(found, domain, rng) for domain, found in fields), sizes, rng)
    hands = deal(left, list(CLIENTS), samples, by="silo")
    clients = {name: Client(hands[name], share) for name, (_, share) in CLIENTS.items()}
    write_partition(folder, clients, public, Damage(KINDS), seed)
    write_json(made, facts)
    return folder
