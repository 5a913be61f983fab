"""A run handed to a SuperLink that is told how it goes: every end is a result or a sentence."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from clues.collaboration.flower import submitting
from clues.collaboration.flower.runtime import Unreachable
from clues.collaboration.flower.submitting import FAILED, submit
from clues.errors import ConfigError, ProtocolError
from clues.io.events import Event
from clues.io.files import read_json, write_json
from clues.io.progress import reporting
from clues.settings import EngineSettings, RunSettings

COMPLETED, FAILED_AT_ONCE = ("finished:completed", ""), ("finished:failed", "No heartbeat")


@dataclass
class Control:
    """`runs`: what the status of each started run is, one after the other; the last one stays."""

    out: Path
    runs: list[list[tuple[str, str] | None]]
    error: str = ""
    asked: list[str] = field(default_factory=list)
    number: int = -1

    def start(self, app, config, *, simulated=0):
        assert (app / "pyproject.toml").is_file()
        assert [file.name for file in app.iterdir()] == ["pyproject.toml"]  # no code
        self.number += 1
        self.asked.append(f"start {config['out']}")
        return self.number

    def status(self, run):
        if run >= len(self.runs):
            raise ProtocolError("not known")
        left = self.runs[run]
        status = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(status, Exception):
            raise status
        if status is None:
            raise ProtocolError("nobody answers")
        if status == COMPLETED:
            write_json(self.out / "metrics.json", {"version": "1"})
        elif self.error and status[0].startswith("finished"):
            write_json(self.out / FAILED, {"error": self.error})
        return status

    def stop(self, run):
        self.asked.append(f"stop {run}")

    def log(self, run, after):
        event = Event(event="note", note=f"Round {run} is done.").line()
        yield f"INFO :      Starting Flower\n{event[:20]}", after + 1  # a part ends within a line
        yield f"{event[20:]}\n{{}}\n7", after + 2


@pytest.fixture
def submitted(tmp_path, monkeypatch):
    monkeypatch.setattr(submitting, "_POLL", 0.001)
    monkeypatch.setattr(submitting, "_PENDING", 0.05)
    settings = RunSettings(validation=["v"], anchors=["a"], clients=[{"id": "a"}], engine={"name": "deployment"})

    def call(*runs, error: str = "", begun: int | None = None):
        control = Control(tmp_path, [list(run) for run in runs], error)
        if begun is not None:
            write_json(tmp_path / "server" / "flower-run.json", {"run": begun})
        call.control = control
        return submit(settings, tmp_path, control=control)

    return call


RUNNING, PENDING = ("running", ""), ("pending", "")


def test_a_run_that_completes_gives_its_metrics(submitted, tmp_path, capsys):
    (tmp_path / FAILED).write_text('{"error": "of an earlier try"}')
    assert submitted([PENDING, RUNNING, None, RUNNING, COMPLETED]) == {"version": "1"}
    assert submitted.control.asked == [f"start {tmp_path}"]
    assert read_json(tmp_path / "server" / "settings.json")["clients"][0]["id"] == "a"
    assert capsys.readouterr().err == "Round 0 is done.\n"
    assert (tmp_path / "server" / "flower.log").read_text() == "INFO :      Starting Flower\n{}\n7\n"


def test_its_events_are_told_as_those_of_this_process_are(submitted, capsys):
    with reporting("quiet"):
        submitted([COMPLETED])
    assert capsys.readouterr() == ("", "")
    with reporting("json"):
        submitted([COMPLETED])
    told = capsys.readouterr()
    assert [Event.of(line).note for line in told.out.splitlines()] == ["Round 0 is done."]
    assert told.err == ""


def test_its_own_error_is_the_sentence_that_a_user_reads(submitted):
    with pytest.raises(ProtocolError, match=r"^select: a client failed\. The log of the run: .*/server/flower\.log$"):
        submitted([RUNNING, FAILED_AT_ONCE], [COMPLETED], error="select: a client failed.")
    assert len(submitted.control.asked) == 1


def test_one_whose_process_died_is_started_again(submitted):
    assert submitted([RUNNING, FAILED_AT_ONCE], [RUNNING, COMPLETED]) == {"version": "1"}
    with pytest.raises(
        ProtocolError,
        match=r"ended as failed \(No heartbeat\); run again to go on\. The log of the run: .*flower\.log$",
    ):
        submitted([FAILED_AT_ONCE], [FAILED_AT_ONCE], [COMPLETED])


def test_one_that_was_begun_before_waits_for_the_superlink_to_come_back(submitted, capsys):
    nobody = Unreachable("nobody there.")
    assert submitted([nobody, nobody, RUNNING, COMPLETED], begun=0) == {"version": "1"}
    assert submitted.control.asked == []  # the run goes on; no second one
    assert capsys.readouterr().err.startswith("nobody there. The run was begun before, so this command waits for it.\n")


def test_a_first_run_is_refused_at_once_where_no_superlink_answers(submitted, monkeypatch):
    monkeypatch.setattr(Control, "start", lambda *_, **__: (_ for _ in ()).throw(Unreachable("nobody there.")))
    with pytest.raises(ProtocolError, match="nobody there"):
        submitted([COMPLETED])


def test_one_that_was_stopped_is_not_started_again(submitted):
    with pytest.raises(ProtocolError, match="ended as stopped"):
        submitted([RUNNING, ("finished:stopped", "")], [COMPLETED])


def test_one_that_never_starts_is_stopped_with_a_sentence(submitted):
    with pytest.raises(ProtocolError, match="did not start it within 0 s; see whether its SuperExec runs"):
        submitted([PENDING])
    assert submitted.control.asked[-1] == "stop 0"


def test_the_same_command_again_watches_the_run_that_goes_on(submitted):
    assert submitted([RUNNING, COMPLETED], begun=0) == {"version": "1"}
    assert submitted.control.asked == []


@pytest.mark.parametrize("begun", [5, 0])
def test_a_run_that_is_unknown_or_has_ended_is_started_anew(submitted, begun):
    submitted([FAILED_AT_ONCE if begun == 0 else COMPLETED, COMPLETED], begun=begun)
    assert len(submitted.control.asked) == 1


def test_a_deployment_names_its_server(tmp_path):
    settings = RunSettings(
        validation=["v"], anchors=["a"], clients=[{"id": "a"}], engine=EngineSettings(name="deployment")
    )
    with pytest.raises(ConfigError, match=r"engine\.address"):
        submitting.deploy(settings, tmp_path)
