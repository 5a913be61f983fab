"""What is said is what is: reasons, thresholds, errors."""

from __future__ import annotations

import json

import pytest
import tomli_w
import torch
from typer.testing import CliRunner

from clues.cli import app
from clues.errors import SelectionError
from clues.selection.threshold import fit_threshold
from clues.settings import SelectionSettings

FAST = ["--set", "training.epochs=1", "--set", "lora.r=2", "--set", "training.batch_size=4"]


def run(*arguments: object, code: int = 0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.mark.parametrize(("method", "signal"), [("auto", True), ("loss", False), ("clues", False)])
def test_a_reason_names_a_signal_only_where_there_are_signals(tiny_model, write_samples, tmp_path, method, signal):
    public = ["--validation", write_samples("val.jsonl", 4), "--anchors", write_samples("anchors.jsonl", 4)]
    run(
        "score",
        write_samples("own.jsonl", 8),
        *public,
        "--model",
        tiny_model,
        "--out",
        tmp_path / "run",
        *FAST,
        "--method",
        method,
    )
    run("select", tmp_path / "run", "--threshold", "ratio")
    dropped = [json.loads(line) for line in (tmp_path / "run/dropped.jsonl").read_text().splitlines()]
    assert dropped
    for row in dropped:
        assert ("standard deviations of good ones" in row["clues"]["reason"]) == signal


def test_anchor_scores_that_are_no_numbers_are_not_called_missing():
    with pytest.raises(SelectionError, match="no anchor scores; give --anchors"):
        fit_threshold({}, SelectionSettings())
    with pytest.raises(SelectionError, match="anchor scores of a are not numbers; score again in float32"):
        fit_threshold({"a": torch.tensor([1.0, torch.nan]), "b": torch.tensor([1.0])}, SelectionSettings())


def write_run(folder, clients, **settings):
    """`run.toml` with these clients, by id."""
    listed = [{"id": name, **files} for name, files in clients.items()]
    public = {"validation": ["val.jsonl"], "anchors": ["anchors.jsonl"]}
    values = {**public, "clients": listed, "out": str(folder / "run"), **settings}
    (folder / "run.toml").write_text(tomli_w.dumps(values))


def test_validate_finds_what_run_would_find(tiny_model, write_samples, tmp_path):
    """Settings, files, model and template, all together, and nothing is written."""
    write_samples("val.jsonl", 3)
    clients = {"a": {"data": "neither.jsonl"}, "b": {"data": "val.jsonl", "labels": "no-labels.jsonl"}}
    write_run(tmp_path, clients, anchors=["nothing.jsonl"], model={"id": str(tiny_model)}, scoring={"method": "magic"})
    shown = run("validate", tmp_path / "run.toml", code=2).stderr
    for part in ("nothing.jsonl", "neither.jsonl", "no-labels.jsonl", "scoring.method: 'magic' is not known"):
        assert part in shown
    again = run("run", tmp_path / "run.toml", code=2).stderr
    assert again.splitlines()[-len(shown.splitlines()) :] == shown.splitlines()
    assert not (tmp_path / "run").exists()


def test_a_template_that_refuses_a_client_is_found_before_anything_is_trained(tiny_model, write_samples, tmp_path):
    write_samples("val.jsonl", 3)
    write_samples("anchors.jsonl", 3)
    turns = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}, {"role": "assistant", "content": "c"}]
    (tmp_path / "b.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    (tmp_path / "strict.jinja").write_text(
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}<s>{{ m.role }}\n{{ m.content }}</s>{% endfor %}"
    )
    clients = {"a": {"data": "val.jsonl"}, "b": {"data": "b.jsonl"}}
    write_run(tmp_path, clients, model={"id": str(tiny_model)}, data={"template": "strict.jinja"})
    shown = run("run", tmp_path / "run.toml", code=2).stderr
    assert "b.jsonl, line 1: the model's chat template refuses it (roles must alternate); change its turns" in shown
    assert not (tmp_path / "run").exists()


def test_every_command_takes_settings_of_data_and_model(tiny_model, write_samples, tmp_path):
    tests = write_samples("tests.jsonl", 3)
    options = ["--set", "data.max_tokens=64", "--set", "data.dialect=prompt-response"]
    model = ["--model", tiny_model, "--set", "model.dtype=bfloat16"]
    run("train", tests, "--out", tmp_path / "a", *FAST, *options, *model)
    run("evaluate", tests, "--adapter", tmp_path / "a/adapter", *options, *model)
    run("merge", tmp_path / "a/adapter", tmp_path / "a/adapter", "--out", tmp_path / "merged", *options, *model)
    run("corrupt", tests, "--share", 0.5, "--out", tmp_path / "low.jsonl", *options)
    sizes = ["--validation", 1, "--anchors", 1, "--tests", 1, "--clients", 1]
    run("partition", write_samples("all.jsonl", 12), *sizes, "--out", tmp_path / "parts", *options)
    assert "did you mean 'data.max_tokens'" in run("evaluate", tests, "--set", "max_tokens=64", code=2).stderr
