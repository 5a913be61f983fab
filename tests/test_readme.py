"""Every command of the README, in its order, with a tiny model in place of the embedded one."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import trl
from typer.testing import CliRunner

import clues.models.embedded as embedded
from bundles import state_digest
from clues.cli import app
from clues.models.base import load_base

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = re.findall(r"^\$ (clues .+)$", README, re.M)
EMBEDDED = re.findall(r"^    (make \w+)$", README, re.M)


def run(line: str) -> None:
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    assert result.exit_code == 0, f"{line}: {result.output}"


def test_the_readme_has_two_commands_for_all_set_up():
    assert EMBEDDED == ["make demo", "make test"]
    for command in EMBEDDED:
        plan = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=True)
        assert {"make demo": "clues demo --out runs/demo", "make test": "pytest"}[command] in plan.stdout


@pytest.fixture
def own_files(tiny_model, write_samples, tmp_path, monkeypatch):
    """The files that the quick start names, in the working directory; the tiny model in place of the embedded one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedded, "fetch", lambda: tiny_model)
    load_base.cache_clear()  # of the embedded model that a test before this one has loaded
    for name, count in (("samples.jsonl", 12), ("validation.jsonl", 4), ("anchors.jsonl", 4)):
        path = write_samples(name, count)
        path.write_text(path.read_text().replace('"response"', '"completion"'))  # which TRL reads too
    yield
    load_base.cache_clear()


def test_the_quick_start_runs(own_files):
    quick = re.findall(r"^\$ (clues .+)$", README[: README.index("## How it works")], re.M)
    assert [shlex.split(line)[1] for line in quick] == ["score", "select"]
    for line in quick:
        run(line)
    kept, dropped = (Path(f"runs/mine/{name}.jsonl").read_text().splitlines() for name in ("kept", "dropped"))
    assert len(kept) + len(dropped) == 12


def test_the_notebook_and_the_trl_scripts_of_the_quick_start_run(own_files, tiny_model):
    """One after the other in one namespace, as a reader would."""
    notebook, script, callback = re.findall(r"```python\n(.+?)```", README[: README.index("## How it works")], re.S)
    assert "HuggingFaceTB/SmolLM2-135M-Instruct" in notebook
    names: dict[str, Any] = {}
    exec(notebook.replace("HuggingFaceTB/SmolLM2-135M-Instruct", str(tiny_model)), names)
    assert len(names["scores"].score) == len(names["records"]) == len(names["selection"].kept) == 12
    assert names["kept"] == [r for r, keep in zip(names["records"], names["selection"].kept, strict=True) if keep]
    assert any(tensor.any() for name, tensor in names["adapter"].items() if "lora_B" in name)
    before = state_digest(names["model"])
    exec(script[: script.index("SFTTrainer(model")], names)
    assert state_digest(names["model"]) == before  # the model is as it was, ready to be trained
    weights = {name: tensor.clone() for name, tensor in names["model"].state_dict().items()}
    on_cpu = "SFTTrainer(model, args=SFTConfig(use_cpu=True, bf16=False, max_steps=1), "
    names["SFTConfig"] = trl.SFTConfig
    exec(script[script.index("SFTTrainer(model") :].replace("SFTTrainer(model, ", on_cpu), names)
    assert any(not tensor.equal(weights[name]) for name, tensor in names["model"].state_dict().items())
    assert names["dataset"].to_list() == names["kept"]
    exec(callback.replace("SFTTrainer(model, ", on_cpu), names)
    assert (Path(names["trainer"].args.output_dir) / "clues.jsonl").is_file()


def test_every_command_runs(own_files, tmp_path):
    assert len(CONSOLE) > 8
    for line in ["clues demo --out runs/demo --set training.steps=2", *CONSOLE]:
        run(line)
    assert (tmp_path / "runs/again/metrics.json").read_bytes() == (tmp_path / "runs/demo/metrics.json").read_bytes()


def test_the_settings_it_shows_are_valid_and_all_defaults_are_true(write_samples, tmp_path, monkeypatch):
    import tomllib

    from clues.settings import RunSettings, validated

    (example,) = re.findall(r"```toml\n(.+?)```", README, re.S)
    settings = validated(RunSettings, tomllib.loads(example)).model_dump()
    for keys, default in re.findall(r"^\| ((?:`\w+\.\w+`(?:, )?)+) \| (`[^|]+`|\d+) \|", README, re.M):
        for key, value in zip(keys.split(", "), default.split(", "), strict=True):
            table, name = key.strip("`").split(".")
            assert json.dumps(settings[table][name]).strip('"') == value.strip("`"), key


def test_the_judge_that_the_docs_show_is_valid():
    import tomllib

    from clues.settings import RunSettings, validated

    (example,) = re.findall(r"```toml\n(.+?)```", (ROOT / "docs/evaluation.md").read_text(encoding="utf-8"), re.S)
    public = {"validation": ["v"], "anchors": ["a"], "clients": [{"id": "a", "data": "d"}]}
    evaluation = validated(RunSettings, public | tomllib.loads(example)).evaluation
    assert (evaluation.judge.scale, evaluation.judge.budget) == (10, 5.0)


def test_the_variants_that_the_experiments_show_are_valid():
    import tomllib

    from clues.settings import CompareSettings, RunSettings, validated

    text = (ROOT / "experiments/README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.+?)```", text, re.S)
    chosen = validated(CompareSettings, tomllib.loads(example)["compare"])
    public = {"validation": ["v"], "anchors": ["a"], "clients": [{"id": "a", "data": "d"}]}
    weights = [validated(RunSettings, public | variant.changes).merging.weights for variant in chosen.variants]
    assert weights == ["equal", "learned", "equal"]


def test_the_methods_it_names_are_those_of_the_registry():
    from clues.methods.registry import METHODS

    table = README[README.index("| method | score |") :].split("\n\n")[0]
    named = {name for line in table.splitlines() for name in re.findall(r"`([a-z-]+)`", line.split("|")[1])}
    assert named == set(METHODS)


def test_the_python_example_runs(tiny_model, write_samples, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedded, "fetch", lambda: tiny_model)
    for name, count in (("mixed.jsonl", 8), ("val.jsonl", 3), ("anchors.jsonl", 3)):
        write_samples(name, count)
    (example,) = [text for text in re.findall(r"```python\n(.+?)```", README, re.S) if "ScoreSettings(" in text]
    exec(compile(example, "README.md", "exec"), {})
    assert (tmp_path / "runs/mine/selection.json").is_file()
