"""A folder as `clues score` leaves it, without a model: the scores are given."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from clues.data.samples import read_private
from clues.io.files import write_json
from clues.io.run_folder import claim_folder
from clues.settings import ScoreSettings
from clues.silo.folder import private_digest
from clues.silo.tables import write_table

ANCHORS = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)


def records(count: int) -> list[dict[str, Any]]:
    return [{"id": f"s{n}", "prompt": f"what is {n}", "response": f"the number {n}"} for n in range(count)]


def scored_folder(folder: Path, rows: Sequence[Mapping[str, Any]], scores: torch.Tensor | None = None) -> Path:
    """A folder of these records; they are scored from -3 to 3, and kept from 0, unless told otherwise."""
    source = folder.parent / f"{folder.name}-samples.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ScoreSettings(samples=str(source), validation=[str(source)], anchors=[str(source)])
    claim_folder(folder, settings.model_dump(mode="json"))
    write_json(folder / "samples.json", {"sha256": private_digest(read_private(source))})
    scores = torch.linspace(-3, 3, len(rows), dtype=torch.float64) if scores is None else scores
    write_table(folder / "scores.parquet", (row["id"] for row in rows), {"score": scores})
    write_table(folder / "anchors.parquet", iter(["a", "b", "c"]), {"score": ANCHORS})
    return folder
