from __future__ import annotations

import json

import pytest

from clues.data.questions import read_questions
from clues.errors import DataError

THREE = ["yes", "no", "maybe"]


def write(path, *rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


@pytest.mark.parametrize(
    ("fields", "right"),
    [
        ({"prompt": "p", "choices": THREE, "answer": 2}, 2),
        ({"prompt": "p", "choices": THREE, "answer": "B"}, 1),
        ({"prompt": "p", "choices": THREE, "answer": " no "}, 1),
        ({"question": "p", "options": THREE, "answer": "C", "answer_index": 2}, 2),
        ({"question": "p", "choices": THREE, "answer": 0, "subject": "anatomy"}, 0),
        ({"prompt": "p", "choices": ["B", "A"], "answer": "A"}, 1),  # its text before its letter
    ],
)
def test_the_answer_is_an_index_a_letter_or_the_text_of_an_option(tmp_path, fields, right):
    (question,) = read_questions([write(tmp_path / "quiz.jsonl", fields)])
    assert (question.right, question.sample.domain) == (right, "quiz")
    assert question.sample.context == [{"role": "user", "content": "p"}]
    assert [sample.response for sample in question.answered()] == question.options == fields.get("choices", THREE)
    assert question.sample.response == question.options[right]


def test_options_may_have_a_column_each(tmp_path, capsys):
    path = tmp_path / "mmlu.csv"
    path.write_text("question,A,B,C,D,answer\nwhat is a bone,rate,a hard part,,,B\nwhat is a bond,w,x,y,z,D\n")
    first, second = read_questions([str(path)])
    assert (first.options, first.right) == (["rate", "a hard part"], 1)
    assert (second.options, second.right) == (["w", "x", "y", "z"], 3)
    assert "not used" not in capsys.readouterr().err


def test_every_wrong_question_is_told_at_once_with_its_place(tmp_path):
    good = {"prompt": "p", "choices": THREE, "answer": 0}
    wrong = [
        {"prompt": "p", "response": "r"},
        {"choices": THREE, "answer": 0},
        *[{**good, "answer": answer} for answer in (3, -1, True, "D", "perhaps", None)],
        {**good, "choices": ["yes"]},
        {**good, "choices": ["yes", " "]},
        {**good, "choices": ["yes", 7]},
        {**good, "choices": ["yes", "yes "]},
    ]
    path = write(tmp_path / "quiz.jsonl", good, *wrong[:6], {**good, "prompt": ""})
    with pytest.raises(DataError) as caught:
        read_questions([path])
    told = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in told] == [f"{path}, line {number}" for number in range(2, 9)]
    path = write(tmp_path / "quiz.jsonl", *wrong[6:])
    with pytest.raises(DataError) as caught:
        read_questions([path])
    told += str(caught.value).splitlines()
    problems = [
        "field 'choices' is missing or not a list",
        "field 'prompt' is missing; a question needs",
        *["field 'answer' names none of the 3 options; write the index"] * 4,
        "field 'prompt' is empty",
        *["field 'answer' names none of the 3 options; write the index"] * 2,
        "field 'choices' is missing or not a list of at least two texts",
        "field 'choices[1]' is empty",
        "field 'choices[1]' is not a text",
        "field 'choices' contains an option twice",
    ]
    assert len(told) == len(problems)
    for line, problem in zip(told, problems, strict=True):
        assert problem in line
    assert "perhaps" not in "".join(told)


def test_a_question_in_two_files_is_refused(tmp_path):
    row = {"prompt": "p", "choices": THREE, "answer": 0}
    with pytest.raises(DataError, match=r"b\.jsonl, line 1: repeats the record of .*a\.jsonl, line 1; remove one"):
        read_questions([write(tmp_path / "a.jsonl", row), write(tmp_path / "b.jsonl", row)])
