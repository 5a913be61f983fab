"""JSON and JSON Lines are told apart by what a file holds."""

from __future__ import annotations

import json

import pytest

from clues.data.records.json_rows import json_lines, json_list
from clues.errors import DataError

RECORDS = [{"prompt": "a", "response": "b"}, {"prompt": "c", "response": "d"}]
LINES = "".join(json.dumps(record) + "\n" for record in RECORDS)


@pytest.mark.parametrize("read", [json_lines, json_list])
@pytest.mark.parametrize("text", [LINES, json.dumps(RECORDS), json.dumps(RECORDS, indent=1), "\n\r\n" + LINES])
def test_either_form_is_read_under_either_name(tmp_path, read, text):
    path = tmp_path / "a"
    path.write_text(text)
    assert [row.record for row in read(path)] == RECORDS


def test_lines_are_read_as_they_are_asked_for(tmp_path):
    path = tmp_path / "a"
    path.write_text(LINES + "x" * 10)
    assert next(iter(json_lines(path))).record == RECORDS[0]


def test_marks_of_files_that_were_joined_do_not_count(tmp_path):
    path = tmp_path / "a"
    path.write_text("".join("\ufeff" + line for line in LINES.splitlines(keepends=True)), encoding="utf-8")
    assert [row.record for row in json_lines(path)] == RECORDS


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('{"prompt": "a" "response"}', "broken JSON at column 16"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a": ' * 150 + "1" + "}" * 150, "is nested too deeply"),
        ('{"prompt": "a", "n": ' + "9" * 5000 + "}", "contains a number with too many digits"),
        ('{"prompt": "a", "prompt": "b"}', "names one field of an object twice"),
        ("7", "is not a JSON object"),
    ],
)
def test_a_bad_line_is_a_problem_of_that_line_alone(tmp_path, line, problem):
    path = tmp_path / "a"
    path.write_text(json.dumps(RECORDS[0]) + "\n" + line + "\n" + json.dumps(RECORDS[1]))
    one, two, three = json_lines(path)
    assert (one.record, three.record) == tuple(RECORDS)
    assert (two.at, two.record, two.raw) == ("line 2", None, line)
    assert two.problem.startswith(problem)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"version": "1", "data": [{"prompt": "a", "response": "b"}]}',
            "field 'data' contains a list; write that list",
        ),
        ('[{"prompt": "a",\n "response": }]', "line 2: broken JSON at column 14"),
        ("3", "is not a JSON list of objects"),
        ("[" * 100_000, "is nested too deeply"),
    ],
)
def test_a_file_that_is_no_list_of_records_is_refused(tmp_path, text, message):
    path = tmp_path / "a"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        list(json_list(path))


def test_items_that_are_no_records_are_named_by_number(tmp_path):
    path = tmp_path / "a"
    path.write_text(json.dumps([RECORDS[0], "text", None]))
    rows = list(json_list(path))
    assert [(row.at, bool(row.problem)) for row in rows] == [
        ("record 1", False),
        ("record 2", True),
        ("record 3", True),
    ]


def test_a_single_record_is_a_file_of_one(tmp_path):
    path = tmp_path / "a"
    path.write_text(json.dumps(RECORDS[0], indent=2))
    assert [row.record for row in json_list(path)] == RECORDS[:1]


def test_lines_in_a_json_file_are_read_as_they_are_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("clues.data.records.json_rows.read_text", lambda _: pytest.fail("it is read as a whole"))
    path = tmp_path / "a.json"
    path.write_text('\n{"a": 1}\n\n{"a": 2}\n{"a"')
    found = [(row.at, row.record) for row in json_list(path)]
    assert found == [("line 2", {"a": 1}), ("line 4", {"a": 2}), ("line 5", None)]
