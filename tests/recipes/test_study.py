"""The study computes from one measurement what scoring itself would give."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from typer.testing import CliRunner

from clues.cli import app
from clues.config import ScoringSettings
from clues.models.trajectory import load_trajectory
from clues.scoring import clues
from clues.scoring.methods import Data, Trained, method

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "study"))
import combinations
import gradients
import measure
import variants
from measured import with_halves


@pytest.fixture(scope="module")
def folder(base, tmp_path_factory):
    """What the study measured of two clients on the tiny model."""
    home = tmp_path_factory.mktemp("study")
    words = [f"{a} {b}" for a in ("bone", "rate", "price", "bond", "trade") for b in "abcdefghijklmnopq"]
    lines = [f'{{"id": "{n}", "prompt": "{w}", "response": "{w} is {w[::-1]} and {n}"}}\n' for n, w in enumerate(words)]
    (home / "clean.jsonl").write_text("".join(lines))
    data = str(home / "data")
    sizes = ["--per-client", "8", "--validation", "12", "--anchors", "6", "--tests", "2"]
    split = ["--clients", "2", "--shares", "0.5,0.3", *sizes, "--out", data]
    result = CliRunner().invoke(app, ["partition", str(home / "clean.jsonl"), *split])
    assert result.exit_code == 0, result.output
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "load_base", lambda _: base)
        patch.setattr(measure, "TRAINING", measure.TRAINING.model_copy(update={"steps": 6}))
        patch.setattr(measure, "ANCHORS", 4)
        patch.setattr(measure, "VALIDATION", 8)
        measure.main(home / "data", home / "name-1")
    return home / "name-1"


@pytest.fixture(scope="module")
def client(base, folder):
    """(what was measured, the trajectory, what scoring looks at) of the first client."""
    found = torch.load(folder / "client-1.pt", weights_only=False)
    trained = Trained(base, *load_trajectory(folder / "trajectories" / "client-1", base))
    data = folder.parent / "data"
    public = {name: measure.read(base, data / f"{name}.jsonl") for name in ("anchors", "validation")}
    samples = measure.read(base, data / "client-1.jsonl")
    return found, trained, Data(samples, public["anchors"][:4], public["validation"][:8])


@pytest.mark.parametrize(
    ("variant", "settings"),
    [
        ("cosine, plain gradients, last checkpoint", {"similarity": "cosine"}),
        ("adam-frozen", {"similarity": "cosine", "preconditioner": "adam-frozen"}),
        ("adam", {"similarity": "cosine", "preconditioner": "adam"}),
        ("first layer alone", {"similarity": "cosine", "modules": "*.layers.0.*"}),
        ("three checkpoints", {"similarity": "cosine"}),
    ],
)
def test_variants_are_what_scoring_gives(client, variant, settings):
    found, trained, data = client
    checkpoints = trained.checkpoints if variant == "three checkpoints" else trained.checkpoints[-1:]
    chosen = ScoringSettings(method="clues", **settings)
    columns = clues.score(trained.base, checkpoints, trained.lora_config, data.scored, data.validation, chosen)
    assert gradients.gradient_scores()[variant](found).tolist() == pytest.approx(columns["score"].tolist(), abs=1e-5)


def test_auto_out_of_the_study_is_auto(client):
    found, trained, data = client
    last = Trained(trained.base, trained.checkpoints[-1:], trained.lora_config)
    score = method("auto").score(last, data, ScoringSettings(), lambda _, compute: compute())["score"]
    assert combinations.as_auto(found).tolist() == pytest.approx(score.tolist(), abs=1e-3)
    few = combinations.learning_from(2, 4, draw=0)(found)
    assert len(few) == 8 + 2
    assert with_halves(found, found.points[-1]).keys() == {"clean / half 1", "clean / half 2"}


def test_every_variant_gets_its_row(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(variants, "STORED", tmp_path)
    monkeypatch.setattr(variants, "DRAWS", 2)
    variants.main([folder])
    rows = pyarrow.parquet.read_table(tmp_path / "name-1.parquet").to_pylist()
    assert {row["study"] for row in rows} == {"gradients", "signals", "validation", "public", "anchors"}
    assert all(0 <= row["f1"] <= 1 and row["auroc"] is not None for row in rows)
    assert len({(row["study"], row["variant"]) for row in rows}) == len(rows)
