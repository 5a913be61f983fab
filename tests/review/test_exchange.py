"""CSV and Argilla: what is written can be filled in and read back, with the habits of the programs in between."""

from __future__ import annotations

import csv
import json

import pytest

from clues.errors import ConfigError, OutputError
from clues.review.exchange import export
from clues.review.session import Session
from clues.silo.folder import open_folder
from clues.silo.marks import Mark, read_decisions, read_marks
from scored import records, scored_folder


@pytest.fixture
def session(tmp_path):
    rows = records(6)
    rows[2] |= {"id": "=1+1", "prompt": '=HYPERLINK("http://x", "y")', "response": "Größe; «ja»\nzweite, Zeile"}
    rows[3]["response"] = "x" * 50_000
    return Session(open_folder(scored_folder(tmp_path / "run", rows)), 6)


def test_a_spreadsheet_shows_every_text_as_it_is(session, tmp_path):
    session.judge(1, "good")
    session.remark(1, "+1")
    assert export(session, tmp_path / "marks.csv") == 6
    assert (tmp_path / "marks.csv").read_bytes().startswith(b"\xef\xbb\xbfid,prompt,response,score,quality,remark\r\n")
    with (tmp_path / "marks.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = {row["id"]: row for row in csv.DictReader(stream)}
    assert rows["'=1+1"]["prompt"] == '\'=HYPERLINK("http://x", "y")'
    assert rows["'=1+1"]["response"] == "Größe; «ja»\nzweite, Zeile"
    assert (rows["s1"]["quality"], rows["s1"]["remark"], rows["s1"]["score"][0]) == ("good", "'+1", "-")
    assert len(rows["s3"]["response"]) < 32_767
    assert read_marks(tmp_path / "marks.csv", session.owner.ids)[1] == Mark("s1", "good", "+1")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_excel_saves_is_read_back(session, tmp_path, delimiter):
    """With a byte order mark, the delimiter of the country, CRLF, and empty lines at the end."""
    session.remark(0, "'tis so")
    export(session, tmp_path / "marks.csv")
    with (tmp_path / "marks.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for row, quality in zip(rows, ("good", "Low ", "unsure", "", "GOOD", "low"), strict=True):
        row["quality"] = quality
    saved = tmp_path / "saved.csv"
    with saved.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], delimiter=delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
        stream.write(delimiter * 5 + "\r\n")
    order = session.queue
    expected = {order[0]: True, order[1]: False, order[4]: True, order[5]: False}
    assert read_decisions(saved, session.owner.ids) == expected
    assert read_marks(saved, session.owner.ids)[0].remark == "'tis so"


def test_records_for_argilla_have_the_form_of_its_own_export(session, tmp_path):
    """`Record.from_dict` of Argilla 2.8 reads these keys, of which suggestions and responses are by question."""
    session.judge(1, "low")
    export(session, tmp_path / "records.json")
    written = {row["id"]: row for row in json.loads((tmp_path / "records.json").read_text(encoding="utf-8"))}
    assert written["s1"] == {
        "id": "s1",
        "fields": {"prompt": "what is 1", "response": "the number 1"},
        "metadata": {"score": pytest.approx(-1.8)},
        "suggestions": {"quality": {"value": "low", "score": None, "agent": "owner"}},
        "responses": {},
        "vectors": {},
    }


def test_answers_in_argilla_are_read_back(session, tmp_path):
    """As `dataset.records.to_json` of Argilla 2.8 writes them."""

    def record(identity, quality, remark=()):
        answers = {"quality": quality, "remark": remark}
        responses = {name: [{"value": v, "user_id": f"u{n}"} for n, v in enumerate(vs)] for name, vs in answers.items()}
        facts = {"id": identity, "fields": {"prompt": "p", "response": "r"}, "metadata": {}, "suggestions": {}}
        return facts | {"responses": responses, "vectors": {}, "status": "completed", "_server_id": "x"}

    rows = [record("s0", ["good", "good"], ["fine", "short"]), record("s1", ["good", "low"]), record("s2", ["low"])]
    rows[2]["id"] = "=1+1"
    (tmp_path / "answers.json").write_text(json.dumps([*rows, record("s3", [])]))
    assert read_marks(tmp_path / "answers.json", session.owner.ids) == {
        0: Mark("s0", "good", "fine; short"),
        1: Mark("s1", "unsure"),
        2: Mark("=1+1", "low"),
        3: Mark("s3"),
    }


def test_a_file_of_marks_is_never_overwritten(session, tmp_path):
    (tmp_path / "marks.csv").write_text("id,quality\ns1,good\n")
    with pytest.raises(OutputError, match="may hold marks"):
        export(session, tmp_path / "marks.csv")
    with pytest.raises(ConfigError, match=r"for a spreadsheet, or \.json for Argilla"):
        export(session, tmp_path / "marks.xlsx")
