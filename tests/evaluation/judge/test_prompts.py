from __future__ import annotations

import math

import pytest

from clues.data.samples import Sample
from clues.evaluation.judge.prompts import compared, preference_of, score_of, scored

QUESTION = Sample("1", [{"role": "user", "content": "what is a bone"}], "a hard part", "d", {}, "here")


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("It is right.\nScore: 8", 8),
        ("**Score: 10**", 10),
        ("Score: 7.5/10.", 7.5),
        ("Score: 3\n\nScore: 4", 4),  # the last line counts
        ("<think>Score: 2</think>Fine. Score: 9", 9),
        ("Score: 6 – good", 6),
        ("Score: 1-10", None),
        ("Score: 4 or 5", None),
        ("Score: 0,5", None),
        ("Score: 4/5", None),
        ("Score: 11", None),
        ("Score: 0", None),
        ("Score: -3", None),
        ("I would give it an 8.", None),
        ("<think>Score: 2</think>", None),
        ("", None),
    ],
)
def test_a_score_is_read_or_there_is_none(reply, score):
    found = score_of(reply, scale=10)
    assert math.isnan(found) if score is None else found == score


@pytest.mark.parametrize(("reply", "score"), [("Score: 0.25", 0.25), ("Score: 1/1", 1), ("Score: 8", None)])
def test_a_score_from_0_to_1(reply, score):
    found = score_of(reply, scale=1)
    assert math.isnan(found) if score is None else found == score


@pytest.mark.parametrize(
    ("reply", "preference"),
    [
        ("Verdict: A", 1),
        ("So:\n**Verdict: B**.", -1),
        ("Verdict: [[tie]]", 0),
        ("Verdict: Tie", 0),
        ("Verdict: A\nNo.\nVerdict: B", -1),
        ("Verdict: A and B are equal", None),
        ("Verdict: a tie", None),
        ("Verdict: C", None),
        ("A is better.", None),
    ],
)
def test_a_preference_is_read_or_there_is_none(reply, preference):
    found = preference_of(reply)
    assert math.isnan(found) if preference is None else found == preference


def test_a_judge_sees_question_reference_and_answers_in_their_order():
    for messages, answers in (
        (scored(QUESTION, "a bond", scale=1), ["a bond"]),
        (compared(QUESTION, "a bond", ""), ["a bond", "(empty)"]),
    ):
        assert [message["role"] for message in messages] == ["system", "user"]
        places = [messages[1]["content"].index(text) for text in ["what is a bone", "a hard part", *answers]]
        assert places == sorted(places)
    assert "from 0 (worst) to 1 (best)" in scored(QUESTION, "x", scale=1)[0]["content"]
    assert "from 1 (worst) to 10 (best)" in scored(QUESTION, "x", scale=10)[0]["content"]


def test_earlier_turns_and_tool_calls_are_shown_with_their_roles():
    turns = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "tool_calls": [{"function": {"name": "look_up"}}]},
        {"role": "user", "content": "two"},
    ]
    shown = scored(Sample("1", turns, "r", "d", {}, "here"), "x", scale=10)[1]["content"]
    assert "user: one\n\nassistant: " in shown
    assert "look_up" in shown
