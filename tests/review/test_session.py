from __future__ import annotations

import pytest

from clues.review.session import Effect, Session
from clues.silo.folder import open_folder
from scored import records, scored_folder


@pytest.fixture
def folder(tmp_path):
    return scored_folder(tmp_path / "run", records(40))


@pytest.fixture
def session(folder):
    return Session(open_folder(folder), 8)


def test_the_first_samples_of_the_queue_are_spread_over_the_scores(session):
    assert len(session.queue) == 8
    assert sorted(session.queue)[0] == 0 and sorted(session.queue)[-1] == 39
    first = sorted(session.queue[:3])
    assert first[0] < 13 < first[1] < 26 < first[2]


def test_a_new_start_goes_on_where_the_last_one_ended(session, folder):
    for row in session.queue[:5]:
        session.judge(row, "good")
    again = Session(open_folder(folder), 8)
    assert (again.queue, again.open_rows) == (session.queue, session.queue[5:])
    for row in again.open_rows:
        again.judge(row, "unsure")
    more = Session(open_folder(folder), 8)
    assert more.queue[:8] == session.queue
    assert len(set(more.queue)) == 16
    assert more.open_rows == more.queue[8:]


def test_all_samples_can_be_reviewed_and_then_there_are_no_more(session, folder):
    while session.more():
        pass
    assert sorted(session.queue) == list(range(40))
    for row in session.queue:
        session.judge(row, "good")
    assert Session(open_folder(folder), 8).open_rows == []


def test_the_effect_is_that_of_selecting_with_the_marks(session):
    kept = sum(session.kept)
    assert session.effect() == Effect(40, kept, kept)
    session.judge(0, "unsure")
    assert session.effect().with_marks == kept
    session.judge(0, "good")
    session.judge(39, "low")
    session.judge(38, "low")
    with_marks = session.effect().with_marks
    assert with_marks != kept
    assert session.effect().sentence == f"With your marks {with_marks} instead of {kept} of 40 are kept."
    assert [session.undo(), session.undo(), session.undo()] == [38, 39, 0]
    assert session.effect().with_marks == kept


def test_a_remark_keeps_the_mark_and_a_mark_the_remark(session):
    session.remark(3, "hm")
    session.judge(3, "low")
    session.remark(3, "hm, no")
    assert (session.mark(3).quality, session.mark(3).remark) == ("low", "hm, no")


def test_samples_are_found_by_words_and_sorted_by_score_or_mark(session):
    assert session.found("NUMBER 7", by_mark=False, falling=False) == [7, 17, 27, 37]
    assert session.found("7 what", by_mark=False, falling=True) == [37, 27, 17, 7]
    assert session.found("nowhere", by_mark=False, falling=False) == []
    session.judge(20, "low")
    assert session.found("", by_mark=True, falling=False)[0] == 20


def test_the_reason_is_that_of_the_score_alone(session):
    session.judge(0, "good")
    assert session.reason(0).startswith("The score -3 drops it: score < ")
