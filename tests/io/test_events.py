"""A run's events: what they say, and what they add up to."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

import clues.io.progress as progress
from clues.errors import ConfigError
from clues.io.events import Board, Event
from clues.io.live import _View
from clues.io.run_folder import claim_folder


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_json_lines_say_who_does_what_and_how_far_it_is(capsys):
    with progress.reporting("json"), progress.acting("hospital"), progress.phase("training"):
        with progress.task("training on selected", 2) as task:
            task.advance(2, loss=1.5)
        progress.say("a note")
    shown = capsys.readouterr()
    begin, step, note, end = lines(shown.out)
    always = {"time", "event", "client", "phase", "done", "total", "loss", "seconds_left"}
    assert all(always <= set(line) for line in (begin, step, note, end))
    assert (step["client"], step["phase"], step["done"], step["total"], step["loss"]) == (
        "hospital",
        "training",
        2,
        2,
        1.5,
    )
    assert step["seconds_left"] == 0
    assert [line["event"] for line in (begin, step, note, end)] == ["begin", "progress", "note", "end"]
    assert note["note"] == "a note"
    assert shown.err == ""


def test_quiet_lets_warnings_through_only(capsys):
    with progress.reporting("quiet"):
        progress.say("a note")
        progress.say("Warning: a leak")
    assert capsys.readouterr() == ("", "Warning: a leak\n")


def test_a_log_hears_of_the_loss(capsys, monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0.0)
    with progress.task("training", 4) as task:
        task.advance(2, loss=0.25)
    assert capsys.readouterr().err.endswith(" left, loss 0.250\n")


def test_a_run_records_its_own_events_and_no_names_of_samples(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(ConfigError), progress.watched(folder, clients=["a", "b"]):
        claim_folder(folder, {"seed": 1})
        progress.say("Round 1 of 2 is done.")
        progress.say("Warning: sample 17 is public")
        with progress.acting("a"), progress.phase("scoring"):
            progress.say("sample 17 cannot be used")
        raise ConfigError("training.steps: too few.")
    board = Board.of((folder / "progress.jsonl").read_text().splitlines())
    assert (board.clients, board.notes, board.error) == (
        ["a", "b"],
        ["Round 1 of 2 is done."],
        "training.steps: too few.",
    )
    assert board.ended("a", "scoring") and not board.ended("b", "scoring")
    assert "17" not in (folder / "progress.jsonl").read_text()


def test_the_folder_of_another_run_is_not_touched(tmp_path):
    with progress.watched(tmp_path):
        claim_folder(tmp_path, {"seed": 1})
    before = (tmp_path / "progress.jsonl").read_text()
    with progress.watched(tmp_path):
        progress.say("nothing of this run")
    assert (tmp_path / "progress.jsonl").read_text() == before


def test_a_second_attempt_starts_a_new_board_and_a_broken_line_is_left_out():
    start = Event(event="start", clients=("a",)).line()
    failed = Event(event="error", note="lost").line()
    assert Board.of([start, failed]).error == "lost"
    board = Board.of([start, failed, start, '{"event": "begi', Event(event="finish").line()])
    assert (board.error, board.finished, board.clients) == ("", True, ["a"])


def test_a_phase_that_fails_does_not_end():
    board = Board()
    with progress._listening(board.hear), pytest.raises(KeyError), progress.acting("a"), progress.phase("scoring"):
        raise KeyError
    assert not board.ended("a", "scoring") and board.cells["a", "scoring"].event == "begin"


def test_the_live_table_shows_how_far_each_client_is():
    board = Board(clients=["a", "[b]"])
    board.hear(Event(event="end", client="a", phase="checking"))
    board.hear(
        Event(
            event="progress", client="a", phase="training", done=1, total=4, loss=1.25, seconds_left=30.0, task="a: t"
        )
    )
    board.hear(Event(event="progress", phase="evaluation", task="evaluating mixed", done=1, total=2))
    screen = io.StringIO()
    Console(file=screen, width=120).print(_View(board))
    assert [line.split() for line in screen.getvalue().splitlines()] == [
        ["client", "checking", "trajectory", "scoring", "selection", "training", "loss"],
        ["a", "done", "·", "·", "·", "25%,", "30", "s", "left", "1.250"],
        ["[b]", "·", "·", "·", "·", "·"],
        ["server:", "evaluation", "50%"],
        ["evaluating", "mixed", "50%"],
    ]
