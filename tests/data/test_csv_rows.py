"""CSV is read strictly: no record is lost in another, and every refusal names the line."""

from __future__ import annotations

import pytest

from clues.data.records.csv_rows import csv_rows
from clues.errors import DataError


@pytest.fixture
def table(tmp_path):
    def write(text):
        path = tmp_path / "a.csv"
        path.write_text(text, newline="")
        return path

    return write


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_header_tells_the_delimiter(table, delimiter):
    header = delimiter.join(["id", "prompt", "response"])
    (row,) = csv_rows(table(header + "\n" + delimiter.join(["1", '"a, b; c"', "d"]) + "\n"))
    assert (row.at, row.record) == ("line 2", {"id": "1", "prompt": "a, b; c", "response": "d"})


def test_the_delimiter_that_excel_names_is_taken(table):
    (row,) = csv_rows(table("sep=;\r\nquestion;answer\r\na,b;c\r\n"))
    assert (row.at, row.record) == ("line 3", {"question": "a,b", "answer": "c"})


def test_records_are_named_by_the_line_where_they_begin(table):
    text = 'id,prompt,response\r\n1,"two\r\nlines","say ""x"""\r\n\r\n,,\r\n2,a,12" long\r\n'
    first, second = csv_rows(table(text))
    assert (first.at, first.record["prompt"], first.record["response"]) == ("line 2", "two\r\nlines", 'say "x"')
    assert (second.at, second.record["response"]) == ("line 6", '12" long')


def test_a_field_may_be_of_any_length(table):
    (row,) = csv_rows(table("prompt,response\na," + "b" * 300_000 + "\n"))
    assert len(row.record["response"]) == 300_000


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ('1,a,b\n2,what is 5,"5 is less\n3,c,d\n', 3),  # never closed
        ('1,a,b\n2,c,"open\n3,d,e\n4,f,"shut"\n', 3),  # closed by the quote of another record
        ('1,a,"one"two\n', 2),
        ('1,a,"open\n2,c,12"\n3,d,e\n', 2),  # one field more than none: valid, and a record that is swallowed
        ('1,a,"open\n2,c,d",e\n', 2),  # more fields, over two lines
    ],
)
def test_a_quote_that_is_not_closed_names_its_line_and_swallows_nothing(table, body, line):
    with pytest.raises(DataError, match=f"a.csv, line {line}: ") as caught:
        list(csv_rows(table("id,prompt,response\n" + body)))
    _, _, reason = str(caught.value).partition("a.csv")
    assert "quote" in reason
    assert "open" not in reason.replace("a quote that opens", "")


def test_numbered_lines_in_a_quoted_text_are_a_text(table):
    (row,) = csv_rows(table('id,prompt,response\n1,a,"Steps: first, second\n2, then this\n3, that, and more"\n'))
    assert row.record["response"].count("\n") == 2


def test_a_row_of_another_length_is_a_problem_of_that_row_alone(table):
    one, two, three = csv_rows(table("id,prompt,response\n1,a,b\n2,c,d,e\n3,f,g\n"))
    assert (one.problem, three.problem) == ("", "")
    assert (two.at, two.record, two.raw) == ("line 3", None, "2,c,d,e")
    assert two.problem.startswith("has 4 fields where the header has 3")


def test_a_header_that_names_a_column_twice_is_refused(table):
    with pytest.raises(DataError, match="line 1: the header names a column twice"):
        list(csv_rows(table("prompt,response,response\na,b,c\n")))
