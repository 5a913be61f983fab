"""Files of ours or of others that a full disk or an editor broke: one sentence, exit code 2, and nothing is lost."""

from __future__ import annotations

import errno
import shutil

import pytest
from typer.testing import CliRunner

import clues.commands.score
from clues.cli import app
from clues.models.base import load_base

FAST = ["--set", "training.epochs=1", "--set", "lora.r=2", "--set", "training.batch_size=4", "--method", "clues"]


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.stderr


@pytest.fixture
def scored(tiny_model, write_samples, tmp_path):
    public = ["--validation", write_samples("val.jsonl", 3), "--anchors", write_samples("anchors.jsonl", 3)]
    command = ["score", write_samples("own.jsonl", 6), *public, "--model", tiny_model, *FAST, "--out"]
    run(*command, tmp_path / "run")
    return command


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("name", ["scores.parquet", "anchors.parquet", "samples.json", "config.toml"])
def test_select_names_the_file_that_is_broken(scored, tmp_path, name):
    halve(tmp_path / "run" / name)
    shown = run("select", tmp_path / "run", code=2)
    assert name in shown
    assert shown.count("\n") == 1


@pytest.mark.parametrize(
    "name",
    ["adapter_model.safetensors", "adapter_config.json", "checkpoint.json", "moments.safetensors", "base_model.json"],
)
def test_a_trajectory_of_which_a_file_is_broken(scored, tmp_path, name):
    point = max((tmp_path / "run" / "trajectory").glob("checkpoint-*"))
    halve(point / name)
    shown = run(*scored, tmp_path / "again", "--trajectory", tmp_path / "run" / "trajectory", code=2)
    assert point.name in shown
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_model_of_which_a_file_is_broken(tiny_model, write_samples, tmp_path, name):
    shutil.copytree(tiny_model, tmp_path / "model")
    halve(tmp_path / "model" / name)
    load_base.cache_clear()
    shown = run("evaluate", write_samples("tests.jsonl", 2), "--model", tmp_path / "model", code=2)
    assert "model.id: " in shown
    assert "cannot be loaded" in shown


@pytest.fixture
def failing(scored, tmp_path, monkeypatch):
    """What `clues score` shows if reading the samples raises an error."""

    def show(error):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr(clues.commands.score, "read_private", fail)
        monkeypatch.setenv("CLUES_TRACEBACK", "")
        monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
        return run(*scored, tmp_path / "again", code=1)

    return show


def test_a_fault_of_our_own_is_a_sentence_and_a_log(failing, tmp_path):
    shown = failing(KeyError("private SECRET"))
    assert "clues score failed because of a bug (KeyError)" in shown
    assert "SECRET" not in shown
    (log,) = tmp_path.glob("clues-score-*.log")
    assert "SECRET" in log.read_text()


def test_what_the_system_refuses_is_no_bug(failing):
    shown = failing(PermissionError(errno.EACCES, "Permission denied", "/data"))
    assert "Error: /data: Permission denied; check the path and its permissions" in shown
    assert "bug" not in shown


def test_an_exit_code_of_a_command_is_no_bug(tmp_path, monkeypatch):
    monkeypatch.setattr("clues.collaboration.flower.server.doctor", lambda folder: ["b: is not there"])
    monkeypatch.setenv("CLUES_TRACEBACK", "")
    assert "bug" not in run("server", "doctor", code=1)
