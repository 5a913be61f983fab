"""`clues demo`: the main job at small scale, with the embedded model and real definitions of two fields."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from clues.config import RunSettings, validated
from clues.data.corruption import corrupt
from clues.data.demo import as_records, clinical, financial
from clues.data.samples import read_samples
from clues.files import Phase, write_jsonl
from clues.recipes.run import run

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
    return settings, run(settings, out)


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
        "training": {"steps": 20, "checkpoints": 1},
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
    inputs = [samples, seed, validation, anchors, tests]
    phase = Phase(folder, "data", inputs)
    if phase.done:
        return folder
    rng = random.Random(seed)
    public: dict[str, list[dict[str, Any]]] = {"validation": [], "anchors": [], "test": []}
    for domain, definitions in (("medical", clinical()), ("financial", financial())):
        rng.shuffle(definitions)
        aside = {"validation": validation, "anchors": anchors, "test": tests}
        for part, size in aside.items():
            public[part] += as_records(definitions[:size], domain, rng)
            definitions = definitions[size:]
        for name, (client_domain, share) in CLIENTS.items():
            if client_domain == domain:
                own = [d for d in definitions if d.silo == name][:samples]
                _write_client(folder, name, as_records(own, domain, rng), share, seed)
    for part, records in public.items():
        write_jsonl(folder / f"{part}.jsonl", records)
    phase.finish()
    return folder


def _write_client(folder: Path, name: str, records: list[dict[str, Any]], share: float, seed: int) -> None:
    file = folder / f"{name}.jsonl"
    write_jsonl(file, records)
    mixed, labels = corrupt(read_samples(file), share, KINDS, seed)
    write_jsonl(file, mixed)
    write_jsonl(folder / f"{name}.labels.jsonl", labels)
