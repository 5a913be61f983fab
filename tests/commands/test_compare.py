"""`clues compare`: what its runs share, and what it refuses."""

from __future__ import annotations

import json
import re
import tomllib

import pyarrow.parquet
import pytest
import tomli_w


@pytest.fixture
def experiment(config, tmp_path):
    """A file of settings with a table `compare` of the given content."""

    def write(**compare):
        values = tomllib.loads(config.read_text()) | {"compare": compare}
        values["evaluation"]["arms"] = ["base", "mixed", "selected", "oracle"]
        path = tmp_path / "experiment.toml"
        path.write_text(tomli_w.dumps(values))
        return path

    return write


def test_compare_shares_the_training_and_goes_on(clues, experiment, tmp_path):
    path = experiment(methods=["clues", "random"], seeds=[1, 2])
    out = tmp_path / "compared"
    compare = ("compare", path, "--out", out, "--set", 'evaluation.arms=["mixed", "selected"]')
    shown = clues(*compare).output
    for method in ("clues", "random"):
        assert f"| {method} | anchor-mean |" in shown
        assert f"| selected | {method} |" in shown
    assert shown.count("| mixed | – |") == 4  # three domains and their mean
    assert "| arm | method | accuracy | accuracy by character |" in shown
    rows = parquet(out / "selection.parquet")
    assert {(row["method"], row["seed"]) for row in rows} == {(m, s) for m in ("clues", "random") for s in (1, 2)}
    mixed = [r for r in parquet(out / "models.parquet") if r["arm"] == "mixed"]
    assert len({(row["seed"], row["domain"], row["nll"]) for row in mixed}) == len(mixed) / 2
    assert '<td class="label">selected</td>' in (out / "results.html").read_text()
    before = {p: p.stat().st_mtime_ns for p in out.rglob("metrics.json")}
    assert clues(*compare).output.endswith(shown[shown.index("# Selection") :])
    assert {p: p.stat().st_mtime_ns for p in out.rglob("metrics.json")} == before


def test_rows_of_another_version_are_computed_anew(clues, experiment, tmp_path, monkeypatch):
    path, out = experiment(methods=["random"], seeds=[1]), tmp_path / "compared"
    compare = ("compare", path, "--out", out, "--set", 'evaluation.arms=["mixed"]')
    clues(*compare)
    (finished,) = out.rglob("metrics.json")
    old = json.loads(finished.read_text()) | {"version": "0.0.1"}
    old["evaluation"]["x"]["mixed"]["nll"] = 99.0
    finished.write_text(json.dumps(old))
    clues(*compare)
    assert all(row["nll"] < 99 for row in parquet(out / "models.parquet") if row["domain"] == "x")


@pytest.mark.parametrize("key", ["scoring.method=ppl", "collaboration.mode=federated", "seed=7", "out=elsewhere"])
def test_what_rows_are_labelled_by_cannot_be_overridden(clues, experiment, tmp_path, key):
    path = experiment(methods=["random"], seeds=[1])
    shown = clues("compare", path, "--out", tmp_path / "compared", "--set", key, code=2).stderr
    assert f"--set {key.partition('=')[0]}: is varied by the comparison itself; use --" in shown
    assert not (tmp_path / "compared").exists()


def test_rules_beside_a_score_are_those_of_that_score(clues, experiment, tmp_path):
    path = experiment(methods=["clues"], seeds=[1])
    options = ["--set", "scoring.similarity=dot", "--set", "evaluation.arms=[]", "--set", "collaboration.train=false"]
    clues("compare", path, "--out", tmp_path / "compared", *options)
    rows = [r for r in parquet(tmp_path / "compared/selection.parquet") if r["client"] == "a"]
    assert len(rows) > 5
    assert len({row["auroc"] for row in rows}) == 1  # all of one score: the inner product


def test_compare_merges_the_same_adapters_in_every_variant(clues, experiment, tmp_path, monkeypatch):
    import clues.silo.silo as silo

    calls = []
    for name in ("fit", "measured"):
        monkeypatch.setattr(silo, name, counting(calls, name, getattr(silo, name)))
    variants = [
        {"name": "exact"},
        {"name": "ties", "merging": {"method": "ties"}},
        {"name": "learned", "merging": {"weights": "learned", "weight_steps": 2}},
    ]
    path = experiment(methods=["clues"], seeds=[1], variants=variants)
    out = tmp_path / "compared"
    shown = clues("compare", path, "--out", out).output
    # Three clients, each trained on what it keeps and on the oracle's part, and scored, in the first variant alone.
    assert calls.count("trajectory") == 3
    assert 3 <= calls.count("fit") <= 6
    assert calls.count("measured") == 3
    selected = {r["variant"]: r["nll"] for r in parquet(out / "models.parquet") if r["arm"] == "selected"}
    assert len(set(selected.values())) == 3
    selection = [row for row in parquet(out / "selection.parquet") if row["client"] == "a"]
    assert len({row["auroc"] for row in selection}) == 1
    assert "| selected | clues | learned |" in shown
    # In each of three tables of losses, each variant merges the oracle's adapters in its own way.
    assert len(re.findall(r"\| oracle \| clues \| (?:exact|ties|learned) ", shown)) == 9
    costs = parquet(out / "costs.parquet")
    assert {row["variant"] for row in costs} == {"ties", "exact", "learned"}
    # Ten own samples, three anchors and three validation samples a domain, at two checkpoints.
    assert {(row["forward"], row["backward"]) for row in costs} == {((10 + 6 + 6) * 2, (10 + 6 + 6) * 2)}
    metrics = json.loads((out / "seed-1/merging/learned/clues/metrics.json").read_text())
    assert len(set(metrics["merge_weights"]["mixed"].values())) == 3


def test_compare_fills_in_the_names_of_variants(clues, experiment, tmp_path):
    path = experiment(methods=["length"], seeds=[1], variants=[{"name": "b"}, {"name": "c"}])
    values = tomllib.loads(path.read_text())
    named = {key: str(tmp_path / f"{{variant}}{end}") for key, end in (("data", ".jsonl"), ("labels", ".labels.jsonl"))}
    values |= {"clients": [{"id": "one", **named}], "collaboration": {"train": False}, "evaluation": {"arms": []}}
    path.write_text(tomli_w.dumps(values))
    clues("compare", path, "--out", tmp_path / "compared")
    good = {row["variant"]: row["good"] for row in parquet(tmp_path / "compared/selection.parquet")}
    assert good == {"b": 8, "c": 2}  # of ten samples, 20 and 80 % are corrupted


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([{"merging": {"method": "exact"}}], "variants.0.name: is required"),
        ([{"name": "a"}, {"name": "a"}], "compare.variants.name: two variants share a name"),
        ([{"name": "a", "seed": 3}], "compare.variants: 'a' sets seed; leave that to [compare] itself"),
        ([{"name": "a", "scoring": {"method": "ppl"}}], "compare.variants: 'a' sets scoring.method"),
        ([{"name": "a", "mergin": {"method": "ties"}}], "did you mean 'merging'"),
        ([{"name": "a", "merging": {"method": "mean"}}], "merging.method"),
        ([{"name": "a", "merging": "ties"}], "merging"),
    ],
)
def test_wrong_variants_are_told_before_anything_is_run(clues, experiment, tmp_path, variants, message):
    path = experiment(methods=["random"], variants=variants)
    shown = clues("compare", path, "--out", tmp_path / "compared", code=2).stderr
    assert message in shown
    assert not (tmp_path / "compared").exists()


def parquet(path):
    return pyarrow.parquet.read_table(path).to_pylist()


def counting(calls, name, function):
    def counted(*arguments, **options):
        calls.append("trajectory" if "trajectory" in options else name)
        return function(*arguments, **options)

    return counted
