"""The study computes from one measurement what scoring itself would give."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from typer.testing import CliRunner

from clues.cli import app
from clues.io.files import write_jsonl, write_parquet
from clues.methods import clues
from clues.methods.default import auto
from clues.methods.registry import Data, Trained, method
from clues.models.trajectory import load_trajectory
from clues.settings import ScoringSettings
from clues.silo.silo import ScoreTable

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


def labelled(seed: int) -> limits.Scored:
    """A client whose signals tell of quality: twelve good samples, and six of each of two kinds of damage."""
    torch.manual_seed(seed)
    kinds = [""] * 12 + ["cut"] * 6 + ["exchange"] * 6
    signals = torch.randn(24, len(auto.SIGNALS), dtype=torch.float64)
    signals[12:18, auto.SIGNALS.index("end")] -= 4
    signals[18:, auto.SIGNALS.index("gain")] -= 4
    columns = dict(zip(auto.SIGNALS, signals.unbind(1), strict=True))
    columns |= {name: signals.sum(1) + 2 for name in ("score", "paper", "cosine")}
    public = {name: torch.randn(5, dtype=torch.float64) for name in columns}
    samples = ScoreTable([str(n) for n in range(24)], columns)
    return limits.Scored(samples, ScoreTable([f"a{n}" for n in range(5)], public), kinds)


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
        for table, file in ((client.samples, "scores"), (client.anchors, "anchors")):
            write_parquet(
                folder / f"{file}.parquet", {"id": table.ids, **{n: v.numpy() for n, v in table.columns.items()}}
            )
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
