"""The study computes from one measurement what scoring itself would give."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from typer.testing import CliRunner

from bundles import job, scores
from clues.cli import app
from clues.io.files import write_jsonl
from clues.methods.default.score import FEATURES
from clues.models.trajectory import Trained, load_trajectory
from clues.silo.tables import write_table

sys.path.append(str(Path(__file__).parents[2] / "experiments" / "study"))
import combinations
import gradients
import limits
import measure
import thresholds
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
    trained = load_trajectory(folder / "trajectories" / "client-1", base)
    data = folder.parent / "data"
    public = {name: measure.read(base, data / f"{name}.jsonl") for name in ("anchors", "validation")}
    samples = measure.read(base, data / "client-1.jsonl")

    def scored(points, **scoring):
        given = job(base, samples, public["anchors"][:4], public["validation"][:8], scoring=scoring)
        return scores(given, Trained(trained.lora, points)).score

    return found, trained.checkpoints, scored


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
    found, checkpoints, scored = client
    points = checkpoints if variant == "three checkpoints" else checkpoints[-1:]
    score = scored(points, method="clues", **settings)
    assert gradients.gradient_scores()[variant](found).tolist() == pytest.approx(score.tolist(), abs=1e-5)


def test_auto_out_of_the_study_is_auto(client):
    found, checkpoints, scored = client
    score = scored(checkpoints[-1:])
    assert combinations.as_auto(found).tolist() == pytest.approx(score.tolist(), abs=1e-3)
    few = combinations.learning_from(2, 4, draw=0)(found)
    assert len(few) == 8 + 2
    assert with_halves(found, found.points[-1]).groups == [("clean", 0), ("clean", 1)]


def test_every_variant_gets_its_row(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(variants, "STORED", tmp_path)
    monkeypatch.setattr(variants, "DRAWS", 2)
    variants.main([folder])
    rows = pyarrow.parquet.read_table(tmp_path / "name-1.parquet").to_pylist()
    assert {row["study"] for row in rows} == {"gradients", "signals", "validation", "public", "anchors"}
    assert all(0 <= row["f1"] <= 1 and row["auroc"] is not None for row in rows)
    assert len({(row["study"], row["variant"]) for row in rows}) == len(rows)


def labelled(seed: int) -> limits.Scored:
    """A client whose signals tell of quality: twelve good samples, and six of each of two kinds of damage."""
    torch.manual_seed(seed)
    kinds = [""] * 12 + ["cut"] * 6 + ["exchange"] * 6
    signals = torch.randn(24, len(FEATURES), dtype=torch.float64)
    signals[12:18, FEATURES.index("end")] -= 4
    signals[18:, FEATURES.index("gain")] -= 4
    columns = dict(zip(FEATURES, signals.unbind(1), strict=True))
    columns |= {name: signals.sum(1) + 2 for name in ("score", "paper", "cosine")}
    public = {name: torch.randn(5, dtype=torch.float64) for name in columns}
    return limits.Scored(columns, public, kinds)


def test_limits_learn_from_the_others_labels_and_not_from_own_ones():
    clients = {name: labelled(seed) for seed, name in enumerate(("a", "b", "c"))}
    found = limits.from_labels(clients, "a")
    assert len(found) == 24 + 5
    assert found[:12].mean() > found[12:24].mean() + 2
    swapped = clients["a"].kinds[12:] + [""] * 12
    assert limits.from_labels(clients | {"a": replace(clients["a"], kinds=swapped)}, "a").equal(found)
    assert not limits.from_labels(clients | {"b": replace(clients["b"], kinds=swapped)}, "a").equal(found)


def test_limits_are_read_from_a_finished_run(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "STORED", tmp_path / "limits")
    run = tmp_path / "name" / "seed-3" / "merging" / "auto"
    settings = 'validation = ["v.jsonl"]\nanchors = ["a.jsonl"]\n'
    for seed, name in enumerate(("one", "two")):
        client, folder, labels = labelled(seed), run / "clients" / name, tmp_path / f"{name}.labels.jsonl"
        for columns, file in ((client.samples, "scores"), (client.anchors, "anchors")):
            write_table(folder / f"{file}.parquet", (str(n) for n in range(24)), columns)
        rows = [
            {"id": str(n), "quality": "low" if kind else "good", "kind": kind} for n, kind in enumerate(client.kinds)
        ]
        write_jsonl(labels, rows)
        settings += f'[[clients]]\nid = "{name}"\ndata = "{name}.jsonl"\nlabels = "{labels}"\n'
    (run / "config.toml").write_text(settings)
    monkeypatch.setattr(thresholds, "STORED", tmp_path / "thresholds")
    thresholds.main([run])
    rules = pyarrow.parquet.read_table(tmp_path / "thresholds" / "name-3.parquet").to_pylist()
    assert len(rules) == len(thresholds.SCORES) * len(thresholds.RULES)
    halves = [row for row in rules if row["variant"].endswith(", ratio")]
    assert all(row["precision"] == row["recall"] == row["accuracy"] for row in halves)  # half of the samples are good
    limits.main([run])
    rows = pyarrow.parquet.read_table(tmp_path / "limits" / "name-3.parquet").to_pylist()
    assert [row["variant"] for row in rows] == [
        "public samples, posterior",
        "public samples, oracle-ratio",
        "public samples, most",
        "the others' labels, posterior",
        "the others' labels, oracle-ratio",
        "the others' labels, most",
    ]
    assert all(row["precision"] == row["recall"] for row in rows if "oracle-ratio" in row["variant"])
    assert all(row["auroc"] > 0.7 for row in rows)


def test_the_most_that_can_be_kept_at_a_precision():
    kinds = ["", "cut", "", "", "", "cut", ""]
    scores = torch.tensor([9.0, 3.0, 8.0, 7.0, 6.0, 5.0, 4.0])
    assert limits.most_at(scores, kinds, 0.8).tolist() == [True, False, True, True, True, True, True]
    assert limits.most_at(scores, kinds).tolist() == [True, False, True, True, True, False, False]
    assert not limits.most_at(-scores, ["cut", *kinds[1:]], 0.9).any()
