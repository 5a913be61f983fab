"""Commands of a tiny model, and files for them."""

from __future__ import annotations

import json

import pytest
import tomli_w
from typer.testing import CliRunner

from clues.cli import app


@pytest.fixture
def clues(tiny_model):
    def call(*arguments: object, code: int = 0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output + repr(result.exception)
        return result

    return call


@pytest.fixture
def files(write_samples, clues, tmp_path):
    """Mixed samples with labels, a validation set of two domains, anchors."""
    clues("corrupt", write_samples("clean.jsonl", 12), "--share", 0.5, "--out", tmp_path / "mixed.jsonl")
    for part, count in (("val", 3), ("anchors", 4)):
        write_samples(f"{part}.jsonl", count)
    return tmp_path


ARMS = ["base", "mixed", "selected", "oracle", "ratio", "public"]


@pytest.fixture
def config(clues, tiny_model, write_samples, tmp_path):
    """A labelled collaboration of three clients in two domains."""
    clients = []
    for name, share in (("a", 0.5), ("b", 0.2), ("c", 0.8)):
        data = tmp_path / f"{name}.jsonl"
        clues("corrupt", write_samples(f"clean-{name}.jsonl", 10), "--share", share, "--out", data)
        clients.append({"id": name, "data": str(data), "labels": str(tmp_path / f"{name}.labels.jsonl")})
    public = {
        name: [str(write_samples(f"{name}-{domain}.jsonl", 3, domain)) for domain in ("x", "y")]
        for name in ("validation", "anchors", "tests")
    }
    quiz = tmp_path / "quiz.jsonl"
    questions = [{"prompt": f"what is {n}", "choices": ["a bone", "a fixed rate"], "answer": n % 2} for n in range(5)]
    quiz.write_text("".join(json.dumps(question) + "\n" for question in questions))
    settings = {
        "validation": public["validation"],
        "anchors": public["anchors"],
        "clients": clients,
        "model": {"id": str(tiny_model)},
        "lora": {"r": 2},
        "training": {"epochs": 2.0, "batch_size": 4, "learning_rate": 5e-3},
        "evaluation": {"tests": public["tests"], "choices": [str(quiz)], "arms": ARMS},
    }
    path = tmp_path / "config.toml"
    path.write_text(tomli_w.dumps(settings))
    return path
