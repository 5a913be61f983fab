"""Scoring on the client's disk: a pass that is cut off goes on, and memory that runs out only makes it slower."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import clues.passes.agreement as scoring
import clues.passes.passes as passes
from bundles import job
from clues.data.prompts import tokenize
from clues.data.samples import read_samples
from clues.errors import ScoringError
from clues.io.files import read_json
from clues.models.adapters import adapter_state, attached
from clues.models.trajectory import Checkpoint, Trained
from clues.settings import DataSettings, LoraSettings, ScoringSettings
from clues.silo.silo import Silo

LORA = LoraSettings(r=2)
SETTINGS = ScoringSettings(method="clues", batch_size=3)


@pytest.fixture
def tables(base, write_samples):
    samples, public = (
        tokenize(read_samples(write_samples(name, count)), base, DataSettings(max_tokens=200))
        for name, count in (("private.jsonl", 12), ("public.jsonl", 4))
    )
    with attached(base, LORA) as model:
        generator = torch.Generator().manual_seed(1)
        state = {n: torch.randn(t.shape, generator=generator) for n, t in adapter_state(model).items()}
    points = [Checkpoint(state, 0.5), Checkpoint(state, 0.25)]

    def scored(folder, settings=SETTINGS):
        result = Silo(job(base, samples, public, public, scoring=settings), folder=folder).score(Trained(LORA, points))
        return result.samples, result.anchors

    return scored


def interrupted(monkeypatch, at):
    """Stop a pass in its batch number `at`, once; returns a list that grows with every batch begun."""
    original, calls = scoring.batch_products, []

    def counted(*arguments, **options):
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return original(*arguments, **options)

    monkeypatch.setattr(scoring, "batch_products", counted)
    return calls


def test_a_pass_that_was_cut_off_does_no_shard_twice(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "SAMPLES", 1)  # a shard a batch
    whole = tables(tmp_path / "whole")
    calls = interrupted(monkeypatch, at=8)
    with pytest.raises(KeyboardInterrupt):
        tables(tmp_path / "cut")
    again = tables(tmp_path / "cut")
    assert len(calls) == 12 + 1  # twelve batches, one of them begun twice
    for one, two in zip(whole, again, strict=True):
        assert all(np.array_equal(one[name], two[name]) for name in one.names)
    costs = [read_json(tmp_path / name / "costs.json") for name in ("whole", "cut")]
    # Twelve samples, four anchors and four of the validation set, at two checkpoints; what was kept is counted too.
    assert [(cost["forward"], cost["backward"]) for cost in costs] == [(40, 40)] * 2
    assert all(cost["seconds"] > 0 for cost in costs)


def test_what_another_version_left_is_not_taken_up(tables, tmp_path, monkeypatch):
    monkeypatch.setattr(passes, "SAMPLES", 1)
    calls = interrupted(monkeypatch, at=8)
    with pytest.raises(KeyboardInterrupt):
        tables(tmp_path)
    monkeypatch.setattr("clues.io.store.__version__", "another")
    tables(tmp_path)
    assert len(calls) == 8 + 12


def test_a_shard_holds_what_was_computed_and_no_gradient(tables, tmp_path, monkeypatch):
    whole, _ = tables(tmp_path / "whole")
    monkeypatch.setattr(passes, "SAMPLES", 1)
    interrupted(monkeypatch, at=6)
    with pytest.raises(KeyboardInterrupt):
        tables(tmp_path / "cut")
    shards = [load_file(path) for path in (tmp_path / "cut" / "store" / "passes").iterdir()]
    assert len(shards) == 5
    for shard in shards:  # both checkpoints hold the same adapter
        assert {name: values.shape[1:] for name, values in shard.items()} == {
            "row": (),
            "products": (3,),
            "norm": (),
            "loss": (),
        }
        own = shard["row"] < len(whole)
        assert np.allclose(whole["loss"][shard["row"][own]], shard["loss"][own], rtol=1e-6)
        assert np.allclose(whole["dot"][shard["row"][own]], 0.75 * shard["products"][own, 0], rtol=1e-6)


def test_only_scores_stay_on_the_disk(tables, tmp_path):
    tables(tmp_path / "run")
    names = sorted(p.name for p in (tmp_path / "run").iterdir())
    assert names == ["anchors.parquet", "costs.json", "scores.parquet", "store"]
    assert [p.name for p in (tmp_path / "run" / "store").iterdir()] == ["scores"]


@pytest.mark.parametrize(("method", "passes"), [("ppl", 16), ("ifd", 32), ("random", 0)])
def test_methods_without_gradients_cost_no_backward_pass(tables, tmp_path, method, passes):
    tables(tmp_path / "run", SETTINGS.model_copy(update={"method": method}))
    cost = read_json(tmp_path / "run" / "costs.json")
    assert (cost["forward"], cost["backward"]) == (passes, 0)


def test_a_batch_is_halved_where_memory_runs_out(tables, tmp_path, monkeypatch):
    whole = tables(tmp_path / "whole")
    original = scoring.batch_products

    def small(gradients, batch, **options):
        if len(batch.rows) > 1:
            raise torch.OutOfMemoryError
        return original(gradients, batch, **options)

    monkeypatch.setattr(scoring, "batch_products", small)
    for one, two in zip(whole, tables(tmp_path / "small"), strict=True):
        assert all(np.allclose(one[n], two[n], rtol=1e-4, atol=1e-7) for n in one.names)


def test_one_sample_that_does_not_fit_is_told(tables, tmp_path, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(scoring, "batch_products", full)
    with pytest.raises(ScoringError, match=r"one sample alone does not fit into memory; lower data\.max_tokens"):
        tables(tmp_path / "run")


def test_what_is_scored_otherwise_is_not_read_from_the_disk(base, write_samples, tmp_path):
    """Ids, domains, the place of the response, the adapter's settings: none of them shows in the tokens."""
    samples, public = (
        tokenize(read_samples(write_samples(name, count)), base, DataSettings(max_tokens=200))
        for name, count in (("private.jsonl", 6), ("public.jsonl", 4))
    )
    with attached(base, LORA) as model:
        state = {n: torch.ones(t.shape) for n, t in adapter_state(model).items()}
    points = [Checkpoint(state, 0.5)]

    def scored(samples=samples, validation=public, lora=LORA):
        given = job(base, samples, public, validation, scoring=SETTINGS)
        return Silo(given, folder=tmp_path).score(Trained(lora, points)).samples

    first = scored()
    assert scored(samples=[replace(t, id=f"new {t.id}") for t in samples]).ids[0].startswith("new ")
    assert "other" in scored(validation=[replace(t, domain="other") for t in public]).names
    later = scored(samples=[replace(t, response_start=t.response_start + 1) for t in samples])
    assert not np.array_equal(later.score, first.score)
    assert not np.array_equal(scored(lora=LORA.model_copy(update={"alpha": 1.0}))["dot"], first["dot"])
    assert np.array_equal(scored().score, first.score)
