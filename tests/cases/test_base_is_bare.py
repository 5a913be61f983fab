"""After every command the base model in memory is what it was before: weights, modules, modes, flags, hooks."""

from __future__ import annotations

import pytest
import tomli_w
from typer.testing import CliRunner

from bundles import state_digest
from clues.cli import app
from clues.models.base import load_base
from clues.settings import ModelSettings

FAST = ["--set", "training.epochs=1", "--set", "lora.r=2", "--set", "training.batch_size=4"]


@pytest.fixture
def run(tiny_model, write_samples, tmp_path):
    def command(*arguments: object) -> None:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == 0, result.output + repr(result.exception)

    for name, count in (("own.jsonl", 8), ("val.jsonl", 4), ("anchors.jsonl", 4), ("tests.jsonl", 3)):
        write_samples(name, count)
    command("train", tmp_path / "own.jsonl", "--out", tmp_path / "a", "--model", tiny_model, *FAST)
    return command


def files(folder, *names):
    return [folder / f"{name}.jsonl" for name in names]


@pytest.mark.parametrize(
    "path",
    [
        *[["score", "--method", name] for name in ("auto", "less", "datainf", "ppl", "ifd", "combined")],
        ["score", "--set", "scoring.walk=in-run"],
        ["score", "--adapter"],
        ["train"],
        ["merge", "exact"],
        ["merge", "ties"],
        ["merge", "learned"],
        ["evaluate"],
        ["run", "merging"],
        ["run", "federated"],
    ],
)
def test_the_base_is_bare_after(path, run, tiny_model, tmp_path):
    own, val, anchors, tests = files(tmp_path, "own", "val", "anchors", "tests")
    model, out = ["--model", tiny_model], ["--out", tmp_path / "run"]
    adapter = tmp_path / "a" / "adapter"
    base = load_base(ModelSettings(id=str(tiny_model)))
    before = state_digest(base.model)
    command, *options = path
    if command == "score":
        options += [adapter] if options == ["--adapter"] else []
        run("score", own, "--validation", val, "--anchors", anchors, *model, *out, *FAST, *options)
    elif command == "train":
        run("train", own, *model, *out, *FAST, "--set", "lora.dropout=0.1", "--seed", 2)
    elif command == "merge":
        learned = ["--weights", "learned", "--data", val, "--set", "merging.weight_steps=1"]
        how = learned if options == ["learned"] else ["--method", *options]
        run("merge", adapter, adapter, *model, *out, *how)
    elif command == "evaluate":
        run("evaluate", tests, "--adapter", adapter, *model, "--generate", 3)
    else:
        clients = [{"id": name, "data": str(own)} for name in ("one", "two")]
        values = {"validation": [str(val)], "anchors": [str(anchors)], "clients": clients}
        (tmp_path / "run.toml").write_text(tomli_w.dumps({**values, "model": {"id": str(tiny_model)}}))
        mode = ["--set", f"collaboration.mode={options[0]}", "--set", "collaboration.rounds=2"]
        run("run", tmp_path / "run.toml", *out, *FAST, *mode, "--set", f"evaluation.tests=['{tests}']")
    assert load_base(ModelSettings(id=str(tiny_model))) is base
    assert state_digest(base.model) == before
