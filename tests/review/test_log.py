from __future__ import annotations

import json

import pytest

from clues.errors import DataError
from clues.review.log import MarkLog
from clues.silo.marks import Mark, read_decisions

IDS = ["a", "b", "c"]


@pytest.fixture
def log(tmp_path):
    return MarkLog(tmp_path / "decisions.jsonl", IDS)


def lines(log):
    return [json.loads(line) for line in log.path.read_text().splitlines()]


def test_each_mark_is_a_line_and_the_last_one_on_a_sample_counts(log):
    for mark in (Mark("a", "good"), Mark("b", "low", "cut"), Mark("a", "unsure")):
        log.add(mark)
    assert [line["id"] for line in lines(log)] == ["a", "b", "a"]
    assert log.marks() == {0: Mark("a", "unsure"), 1: Mark("b", "low", "cut")}
    assert read_decisions(log.path, IDS) == {1: False}


def test_undo_goes_back_mark_by_mark_also_after_a_new_start(log):
    for mark in (Mark("a", "good"), Mark("b", "low"), Mark("a", "low")):
        log.add(mark)
    assert MarkLog(log.path, IDS).undo() == "a"
    assert log.marks() == {0: Mark("a", "good"), 1: Mark("b", "low")}
    assert [log.undo(), log.undo(), log.undo()] == ["b", "a", None]
    assert log.marks() == {}


def test_a_remark_that_is_typed_belongs_to_the_mark_before_it(log):
    log.add(Mark("a", "good"))
    for typed in ("s", "sh", "short"):
        log.add(Mark("a", "good", typed))
    assert lines(log) == [{"id": "a", "quality": "good", "remark": "short"}]


def test_other_fields_of_a_line_stay(log):
    log.path.write_text('{"id": "a", "quality": "good", "score": 1.5, "prompt": "p"}\n')
    log.add(Mark("b", "low"))
    assert lines(log)[0] == {"id": "a", "quality": "good", "score": 1.5, "prompt": "p"}


def test_a_broken_file_is_refused_and_not_written_over(log):
    log.add(Mark("a", "good"))
    with log.path.open("a") as stream:
        stream.write("{broken\n")
    before = log.path.read_bytes()
    for change in (lambda: log.add(Mark("b", "low")), log.undo):
        with pytest.raises(DataError, match="line 2: broken JSON"):
            change()
    assert log.path.read_bytes() == before


def test_what_is_taken_over_adds_and_takes_nothing_away(log, tmp_path):
    log.add(Mark("a", "good", "mine"))
    log.add(Mark("b", "low"))
    other = tmp_path / "other.csv"
    other.write_text("id,quality,remark\na,,\nb,good,rather good\nc,,no idea\n")
    assert log.take_over(other) == 2
    assert log.marks() == {
        0: Mark("a", "good", "mine"),
        1: Mark("b", "good", "rather good"),
        2: Mark("c", "", "no idea"),
    }
    assert log.take_over(other) == 0
