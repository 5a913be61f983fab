"""A log hears of what is under way, whoever does it and however long it takes."""

from __future__ import annotations

import re
import time

import pytest

import clues.io.progress as progress


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(progress, "INTERVAL", 0.0)


def test_a_task_says_who_does_what_and_how_long_the_rest_takes(capsys):
    with progress.acting("hospital"):
        for _ in progress.track(range(2), "scoring"):
            pass
    lines = capsys.readouterr().err.splitlines()
    assert [re.sub(r"\d+ s", "N s", line) for line in lines] == [
        "hospital: scoring: 1/2, N s left",
        "hospital: scoring: 2/2, N s left",
    ]


def test_a_long_item_is_heard_of_before_it_ends(capsys):
    with progress.heartbeat(), progress.task("loading [the] model"):
        time.sleep(1.2)
    assert "loading [the] model: 1 s so far" in capsys.readouterr().err


def test_what_was_done_before_does_not_count_as_speed():
    resumed = progress.Task("training", 10, 8, started=time.monotonic() - 60, begun=7)
    assert resumed.line() == "training: 8/10, 120 s left" or resumed.line() == "training: 8/10, 2 min left"
    assert progress.Task("training", 10, 7, begun=7).line() == "training: 7/10, 0 s so far"


def test_nothing_is_left_over_when_a_task_fails():
    with pytest.raises(KeyError), progress.task("failing"):
        raise KeyError
    assert progress._tasks == []
