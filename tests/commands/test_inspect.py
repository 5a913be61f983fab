"""Commands that look at methods and results."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import tomli_w
from typer.testing import CliRunner

from clues.cli import app
from clues.commands.status import status
from clues.io import progress
from clues.io.events import Event
from clues.methods.registry import METHODS

FAST = ["--set", "training.steps=2", "--set", "lora.r=2"]


def call(*arguments: object, code: int = 0):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result


def words(result) -> str:
    """The text of a table, without its lines and line breaks."""
    return " ".join(part for part in result.stdout.replace("│", " ").split() if part.strip("─╭╮╰╯├┤┬┴┼━┏┓┃"))


def score(folder, tiny_model, write_samples, *more):
    """A scored folder: of nine samples, one is unusable and two are equal."""
    file = write_samples("own.jsonl", 8)
    first = json.loads(file.read_text().splitlines()[0])
    file.write_text(file.read_text() + json.dumps(first | {"id": "again"}) + '\n{"id": "bad", "prompt": "x"}\n')
    public = ["--validation", write_samples("val.jsonl", 3), "--anchors", write_samples("anchors.jsonl", 4)]
    call("score", file, *public, "--out", folder, "--model", tiny_model, *FAST, *more)
    return folder


def test_a_reader_that_stops_reading_is_no_bug():
    speak = "\n@app.command()\n@command\ndef speak() -> None: print('x', flush=True)\n"
    script = f"import typer\nfrom clues.commands.guard import command\napp = typer.Typer(){speak}app()"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", script], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "clues speak: its output is read by nobody any more; it stopped.\n")


def test_methods_lists_all_with_paper_cost_and_training():
    shown = words(call("methods"))
    assert all(name in shown for name in METHODS)
    assert "arXiv 2310.00902 3 with gradients at" in shown


def test_explain_says_why_a_sample_is_kept_or_dropped(tmp_path, tiny_model, write_samples):
    folder = score(tmp_path / "run", tiny_model, write_samples)
    assert "nothing is selected yet; run clues select" in call("explain", folder, "own.jsonl-1", code=2).stderr
    (folder / "decisions.jsonl").write_text('{"id": "own.jsonl-1", "quality": "low", "remark": "too [short]"}\n')
    call("select", folder)
    rows = [json.loads(line) for name in ("kept", "dropped") for line in (folder / f"{name}.jsonl").open()]
    verdicts = {row["clues"]["id"]: row["clues"] for row in rows}
    shown = words(call("explain", folder, "own.jsonl-1"))
    assert "decision dropped why dropped by the owner your decision low (too [short])" in shown
    assert f"score {verdicts['own.jsonl-1']['score']:.3f}" in shown
    assert "near-copies none" in shown
    for name in ("agreement", "likeness", "ending", "relevance"):
        assert f" {name} " in shown
    assert "near-copies again" in words(call("explain", folder, "own.jsonl-0"))
    assert "cannot be used" in words(call("explain", folder, "bad"))
    assert "did you mean again?" in call("explain", folder, "agian", code=2).stderr
    assert "has the id" in call("explain", folder, "§", code=2).stderr


def test_features_are_told_in_standard_deviations_of_the_anchors(tmp_path, tiny_model, write_samples):
    folder = score(tmp_path / "run", tiny_model, write_samples, "--method", "length")
    call("select", folder)
    import pyarrow.parquet

    samples, anchors = (pyarrow.parquet.read_table(folder / f"{n}.parquet") for n in ("scores", "anchors"))
    own = dict(zip(samples["id"].to_pylist(), samples["score"].to_pylist(), strict=True))["own.jsonl-2"]
    values = anchors["score"].to_pylist()
    mean = sum(values) / len(values)
    spread = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    shown = words(call("explain", folder, "own.jsonl-2"))
    assert f"score against the anchors {(own - mean) / spread:+.1f} standard deviations" in shown


def test_explain_names_what_is_no_folder_of_a_selection(tmp_path):
    (tmp_path / "run" / "clients" / "a").mkdir(parents=True)
    assert "name the folder of one" in call("explain", tmp_path / "run", "x", code=2).stderr
    assert "run clues score" in call("explain", tmp_path / "none", "x", code=2).stderr


@pytest.mark.parametrize(("typed", "wanted"), [("clues expl", "explain"), ("clues score --tra", "--trajectory")])
def test_a_shell_completes_commands_and_options(typed, wanted):
    asked = {"_CLUES_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    program = [sys.executable, "-c", "import sys; sys.argv[0] = 'clues'; from clues.cli import main; main()"]
    shown = subprocess.run(program, env=os.environ | asked, capture_output=True, text=True, check=False)
    assert wanted in shown.stdout.split()


@pytest.fixture
def collaboration(tmp_path, tiny_model, write_samples):
    """The settings file of a small run of two clients."""
    public = {key: [str(write_samples(f"{key}.jsonl", 3))] for key in ("validation", "anchors")}
    clients = [{"id": name, "data": str(write_samples(f"{name}.jsonl", 6))} for name in ("a", "b")]
    values = {**public, "clients": clients, "model": {"id": str(tiny_model)}, "lora": {"r": 2}}
    values |= {"training": {"steps": 2}, "evaluation": {"tests": [str(write_samples("tests.jsonl", 2))]}}
    (tmp_path / "run.toml").write_text(tomli_w.dumps({**values, "collaboration": {"mode": "federated", "rounds": 2}}))
    return tmp_path / "run.toml"


def test_status_of_a_run_under_way_and_after(collaboration, tmp_path):
    out, seen = tmp_path / "run", {}

    def look(event):
        if (event.event, event.client, event.phase) == ("begin", "b", "scoring"):
            seen.update(status(out).as_dict())

    with progress._listening(look):
        result = call("run", collaboration, "--out", out, "--json")
    assert seen["state"].startswith("under way, last heard 0 s ago")
    assert seen["clients"]["a"]["scoring"] == "done" and "selection" not in seen["clients"]["a"]
    assert seen["rounds"] == "Round 2 of 2 on 'mixed' is done."
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert events[-1]["event"] == "result" and set(events[-1]["result"]["clients"]) == {"a", "b"}
    assert any(
        event["client"] == "a" and event["phase"] == "training" and (event["loss"] or 0) > 0 for event in events[:-1]
    )
    after = json.loads(call("status", out, "--json").stdout)["result"]
    assert after["state"].startswith("finished")
    assert {"checking", "scoring", "selection", "training"} <= set(after["clients"]["b"])
    assert set(after["clients"]["b"].values()) == {"done"}
    assert "Round 2 of 2 on 'selected' is done." in words(call("status", out))
    for adapter in ("global", "adapters/mixed"):
        card = (out / "server" / adapter / "README.md").read_text()
        assert "2 clients" in card and str(tmp_path) not in card


def test_status_of_quiet_runs_that_failed_or_were_stopped_or_not_recorded(collaboration, tmp_path):
    out, file = tmp_path / "run", tmp_path / "run" / "progress.jsonl"
    assert "give one of the two" in call("run", collaboration, "--quiet", "--json", code=2).stderr
    options = ["--set", "collaboration.train=false", "--set", "evaluation.arms=['base']"]
    quiet = call("run", collaboration, "--out", out, "--quiet", *options)
    assert quiet.stderr == "" and "Selection" in quiet.stdout
    old = Event(event="begin", client="a", phase="scoring", time="2020-01-01T00:00:00+00:00").line()
    file.write_text(Event(event="start", clients=("a", "b")).line() + "\n" + old + "\n")
    assert "stopped, as nothing was heard for" in status(out).facts["state"]
    file.write_text(Event(event="error", note="it is full.").line() + "\n")
    assert status(out).facts["state"].startswith("failed") and status(out).facts["last error"] == "it is full."
    file.unlink()
    assert status(out).facts["state"] == "finished"
    assert status(out).as_dict()["clients"]["a"] == {"scoring": "done", "selection": "done"}
    assert "holds no run (yet)" in call("status", tmp_path / "nothing", code=2).stderr
