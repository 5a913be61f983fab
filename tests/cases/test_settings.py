"""Settings as people write and move them: byte order marks, other folders, brackets, settings without effect."""

from __future__ import annotations

import json
import shutil

import pytest
import tomli_w
from typer.testing import CliRunner

from clues.cli import app
from clues.commands.tables import facts_table, show
from clues.errors import ConfigError
from clues.methods.registry import METHODS, checked_method, only_used
from clues.settings import RunSettings, ScoreSettings, ScoringSettings, read_toml, validated

PUBLIC = {"validation": ["val.jsonl"], "anchors": ["anchors.jsonl"]}


def run(*arguments: object, code: int = 0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def test_a_byte_order_mark_is_no_part_of_the_settings(tmp_path):
    (tmp_path / "run.toml").write_text('out = "here"\n', encoding="utf-8-sig")
    assert read_toml(tmp_path / "run.toml") == {"out": "here"}


def test_files_are_found_beside_the_settings_and_then_where_the_command_starts(tmp_path, monkeypatch):
    beside, here = tmp_path / "conf", tmp_path / "here"
    for folder, names in ((beside, ("val.jsonl",)), (here, ("val.jsonl", "anchors.jsonl"))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text("{}")
    monkeypatch.chdir(here)
    values = PUBLIC | {"clients": [{"id": "a", "data": "*.jsonl"}], "evaluation": {"tests": ["owner/set"]}}
    settings = validated(RunSettings, values, folder=beside)
    assert settings.validation == [str(beside / "val.jsonl")]
    assert settings.anchors == [str(here / "anchors.jsonl")]
    assert settings.clients[0].data == str(beside / "*.jsonl")
    assert settings.evaluation.tests == ["owner/set"]  # no file: perhaps a data set of the Hub
    assert settings.model.id == "smollm2-135m"


def test_a_run_and_its_selection_work_from_any_folder(tiny_model, write_samples, tmp_path, monkeypatch):
    for name, count in (("mixed.jsonl", 6), ("val.jsonl", 3), ("anchors.jsonl", 3)):
        write_samples(name, count)
    conf = tmp_path / "conf"
    conf.mkdir()
    for name in ("mixed.jsonl", "val.jsonl", "anchors.jsonl"):
        shutil.copy(tmp_path / name, conf)
    values = PUBLIC | {
        "clients": [{"id": "a", "data": "mixed.jsonl"}],
        "model": {"id": str(tiny_model)},
        "scoring": {"method": "random"},
        "collaboration": {"train": False},
        "evaluation": {"arms": []},
        "out": str(tmp_path / "run"),
    }
    (conf / "run.toml").write_text(tomli_w.dumps(values))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    run("run", "../conf/run.toml")
    monkeypatch.chdir(tmp_path)
    public = ("--validation", "val.jsonl", "--anchors", "anchors.jsonl", "--model", tiny_model, "--method", "random")
    run("score", "mixed.jsonl", *public, "--out", "scored")
    monkeypatch.chdir(elsewhere)
    run("select", "../scored")
    assert (tmp_path / "scored" / "kept.jsonl").is_file()


@pytest.mark.parametrize("name", ["cardio[/old]", "tests[v2]", "run[/1]", "[bold]x", ":smile:"])
def test_names_with_brackets_are_shown_as_they_are(capsys, name):
    show(facts_table(name, {name: name}))
    assert capsys.readouterr().out.count(name) == 3


def test_brackets_in_the_names_of_files_folders_and_domains(tiny_model, write_samples, tmp_path):
    tests = write_samples("tests[v2].jsonl", 3, domain="cardio[/old]")
    shown = run("evaluate", tests, "--model", tiny_model).output
    assert "cardio[/old]" in shown
    public = ("--validation", tests, "--anchors", tests, "--model", tiny_model, "--method", "random")
    assert "run[/1]" in run("score", tests, *public, "--out", tmp_path / "run[/1]").output


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("auto", {"similarity": "dot"}, "scoring.similarity: has no effect with method auto; leave it out, or use"),
        ("auto", {"contrast": 8}, "scoring.contrast: has no effect"),
        ("auto", {"domain_weights": {"a": 2.0}}, "scoring.domain_weights: has no effect"),
        ("paper", {"preconditioner": "adam"}, "scoring.preconditioner: has no effect with method paper"),
        ("ppl", {"modules": "*.layers.0.*"}, "scoring.modules: has no effect with method ppl"),
        ("clues", {"apply_to": "train"}, "scoring.apply_to: has no effect without scoring.preconditioner"),
        ("clues", {"refreshes": 9}, "scoring.refreshes: is for scoring.walk in-run"),
    ],
)
def test_a_setting_without_effect_is_refused(method, change, message):
    settings = ScoringSettings(method=method, **change)
    with pytest.raises(ConfigError, match=message):
        checked_method(settings)


def test_every_setting_that_a_method_names_is_one_and_clues_takes_all():
    keys = set(ScoringSettings.model_fields)
    assert all(method.uses <= keys for method in METHODS.values())
    assert all(method.uses <= METHODS["clues"].uses for method in METHODS.values())
    settings = ScoringSettings(method="ppl", modules="*.layers.0.*")
    assert checked_method(only_used(settings)) is METHODS["ppl"]
    assert only_used(ScoringSettings(method="clues", contrast=3)).contrast == 3


@pytest.mark.parametrize("text", ["nan", "inf", "-inf"])
def test_settings_that_are_no_numbers_are_refused(text):
    values = {"samples": "s", **PUBLIC}
    with pytest.raises(ConfigError, match=r"training\.learning_rate"):
        validated(ScoreSettings, values, [f"training.learning_rate={text}"])


def test_a_value_that_is_long_is_cut_in_the_message():
    with pytest.raises(ConfigError) as caught:
        validated(ScoreSettings, {"samples": "s", **PUBLIC}, ["lora.r=" + json.dumps("x" * 5000)])
    assert len(str(caught.value)) < 300
