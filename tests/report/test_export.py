"""Kept samples for other tools: nothing of a conversation is lost, and each snippet works as it stands."""

from __future__ import annotations

import json

import pytest
import yaml
from typer.testing import CliRunner

from clues.cli import app
from clues.data.samples import read_samples
from clues.report.export import FORMATS

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Bonn"}}}
RECORDS = [
    {"prompt": "what is a bone", "response": "the hard part"},
    {
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "is it warm"},
            {"role": "assistant", "content": "", "tool_calls": [CALL]},
            {"role": "tool", "content": '{"celsius": 21}'},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "and in Rome"},
            {"role": "assistant", "content": "too"},
        ],
        "tools": [WEATHER],
    },
]


def call(*arguments: object, code: int = 0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


@pytest.fixture
def folder(tmp_path, tiny_model):
    """What `clues select` leaves of two records in different layouts, as far as the export reads it."""
    clues = {"score": 1.0, "reason": "score ≥ 0"}
    rows = [{**record, "clues": clues | {"id": str(number)}} for number, record in enumerate(RECORDS)]
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.toml").write_text(
        f'[model]\nid = "{tiny_model}"\n[lora]\nr = 4\n[data]\nmax_tokens = 300\n'
    )
    for number, row in enumerate(rows):
        (tmp_path / f"{number}.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "run/kept.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[1:]))
    return tmp_path / "run"


@pytest.mark.parametrize("form", ["trl", "axolotl", "llama-factory"])
def test_what_is_written_reads_as_the_same_conversation(folder, form, tmp_path):
    call("export", folder, "--format", form, "--out", tmp_path / "out")
    (before,), (after,) = read_samples(folder / "kept.jsonl"), read_samples(tmp_path / "out/kept.jsonl")
    assert (after.context, after.response, after.tools) == (before.context, before.response, before.tools)


def test_turns_of_llama_factory_alternate(folder, tmp_path):
    turns = [("user", "a"), ("user", "b"), ("assistant", "c"), ("assistant", "d")]
    record = {"messages": [{"role": role, "content": text} for role, text in turns]}
    (folder / "kept.jsonl").write_text(json.dumps(record) + "\n")
    call("export", folder, "--format", "llama-factory", "--out", tmp_path / "out")
    row = json.loads((tmp_path / "out/kept.jsonl").read_text())
    assert row["conversations"] == [{"from": "human", "value": "a\n\nb"}, {"from": "gpt", "value": "c\n\nd"}]
    info = json.loads((tmp_path / "out/dataset_info.json").read_text())["clues_kept"]
    assert info["file_name"] == "kept.jsonl" and set(info["columns"].values()) == set(row)


def test_the_snippets_for_python_run(folder, tmp_path):
    import trl

    names: dict = {}
    for form in ("datasets", "trl"):
        shown = call("export", folder, "--format", form, "--out", tmp_path / form).stdout
        text = (tmp_path / form / "README.md").read_text().split("```python\n")[1].split("```")[0]
        assert text in shown
        if form == "trl":
            given = "SFTConfig(use_cpu=True, bf16=False, max_steps=1, report_to=[], "
            text = text.replace(" SFTConfig(", f" {given}")
            assert trl.SFTConfig
        exec(text, names)
        if form == "datasets":
            (row,) = names["dataset"]
            assert row["prompt"][2]["tool_calls"][0]["function"]["arguments"] == {"city": "Bonn"}
            assert json.loads(row["tools"]) == [WEATHER]
    assert list((tmp_path / "trl/model").glob("checkpoint-1/adapter_model.safetensors"))


@pytest.mark.parametrize("form", ["axolotl", "llama-factory"])
def test_the_files_of_settings_name_the_model_the_data_and_the_adapter(folder, form, tmp_path, tiny_model):
    call("export", folder, "--format", form, "--out", tmp_path / "out")
    text = (tmp_path / f"out/{form}.yaml").read_text()
    assert text in (tmp_path / "out/README.md").read_text()
    settings = yaml.safe_load(text)
    if form == "axolotl":
        (data,) = settings["datasets"]
        assert (data["path"], data["roles_to_train"]) == (str(tmp_path / "out/kept.jsonl"), None)
        assert (settings["base_model"], settings["lora_r"], settings["sequence_len"]) == (str(tiny_model), 4, 300)
        assert settings["lora_target_modules"] == ["q_proj", "v_proj"]
    else:
        assert (settings["dataset"], settings["dataset_dir"], settings["mask_history"]) == (
            "clues_kept",
            str(tmp_path / "out"),
            True,
        )
        assert (settings["model_name_or_path"], settings["lora_target"]) == (str(tiny_model), "q_proj,v_proj")


def test_a_clients_folder_of_a_job_has_its_settings_in_the_terms(folder, tmp_path):
    (folder / "config.toml").unlink()
    assert (
        "neither config.toml nor job.json"
        in call("export", folder, "--format", "trl", "--out", tmp_path / "out", code=2).stderr
    )
    terms = {"model": {"name": "our-model", "digest": "0"}, "lora": {"r": 4}, "data": {"max_tokens": 300}}
    (folder / "job.json").write_text(json.dumps({"terms": terms}))
    shown = call("export", folder, "--format", "trl", "--out", tmp_path / "out").stdout
    assert all(part in shown for part in ('"our-model"', "r=4", "max_length=300"))


def test_wrong_input_is_one_sentence(folder, tmp_path):
    assert (
        "use one of " + ", ".join(FORMATS)
        in call("export", folder, "--format", "csv", "--out", tmp_path / "out", code=2).stderr
    )
    assert "exists already" in call("export", folder, "--format", "trl", "--out", folder, code=2).stderr
    assert "run clues select" in call("export", tmp_path, "--format", "trl", "--out", tmp_path / "out", code=2).stderr
    (folder / "kept.jsonl").write_text("")
    assert "keeps no sample" in call("export", folder, "--format", "trl", "--out", tmp_path / "out", code=2).stderr
    assert not (tmp_path / "out").exists()
