"""Private files lose a bad record with the reason, public ones tell all of theirs; ids and domains are told apart."""

from __future__ import annotations

import hashlib
import json

import pytest

from clues.data import telling
from clues.data.layouts.identity import file_labels, similar_names
from clues.data.samples import as_rows, parse_samples, read_many, read_private, read_public, read_samples
from clues.errors import DataError
from clues.io.files import write_jsonl


@pytest.fixture
def said(monkeypatch):
    lines = []
    monkeypatch.setattr(telling, "say", lines.append)
    monkeypatch.setattr(telling, "_said", set())
    return lines


@pytest.fixture
def write(tmp_path):
    def file(name, *records):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records))
        return path

    return file


def pair(number, **more):
    return {"prompt": f"p{number}", "response": f"r{number}", **more}


BAD = [pair(2, response=""), '{"prompt": "PRIVATE', pair(4, response=None), "[]", pair(6, response=7)]


def test_bad_records_of_a_private_file_are_set_aside_with_place_and_reason(write, said):
    path = write("a.jsonl", pair(1, id="x"), *BAD, pair(7), pair(8, id="x"))
    private = read_private(path)
    assert [sample.response for sample in private.samples] == ["r1", "r7"]
    told = [(bad.place.removeprefix(f"{path}, "), bad.id, bad.reason.split(" (")[0]) for bad in private.unusable]
    assert told == [
        ("line 2", None, "field 'response' is empty; fill it or remove the record"),
        ("line 3", None, "broken JSON at column 12; fix or remove the line"),
        ("line 4", None, "field 'response' is missing; add it or name another dialect"),
        ("line 5", None, "is not a JSON object; write one object for each record"),
        ("line 6", None, "field 'response' is not a text"),
        ("line 8", "x", "field 'id' repeats 'x' of line 1; ids must be unique"),
    ]
    assert private.unusable[0].record == BAD[0]
    assert private.unusable[1].record == {"raw": BAD[1]}
    (line,) = said
    assert line.startswith(f"{path}: 6 of 8 records cannot be used and are dropped: line 2: field 'response' is empty")
    assert "PRIVATE" not in line
    read_private(path)
    assert len(said) == 1


def test_many_records_with_one_fault_are_one_reason(write, said):
    read_private(write("a.jsonl", pair(0), *[pair(n, response="") for n in range(30)]))
    (line,) = said
    assert line.count("is empty") == 1
    assert "line 11 and 20 more: field 'response'" in line


def test_a_private_file_without_any_usable_record_is_an_error(write, said):
    with pytest.raises(DataError, match="line 1: field 'response' is empty") as caught:
        read_private(write("a.jsonl", *[pair(n, response="") for n in range(30)]))
    assert str(caught.value).endswith("and 20 more.")
    assert said == []


def test_a_public_file_tells_all_its_problems_at_once(write):
    with pytest.raises(DataError) as caught:
        read_many([str(write("a.jsonl", pair(1), *BAD)), str(write("b.jsonl", "{"))])
    lines = str(caught.value).split("\n")
    assert len(lines) == 6
    assert [line.split(", ")[1].split(":")[0] for line in lines] == [f"line {n}" for n in (2, 3, 4, 5, 6, 1)]


def test_the_first_record_may_be_the_bad_one(write):
    private = read_private(write("a.jsonl", {"note": "x"}, "{", pair(1)))
    assert len(private.samples) == 1
    assert "field 'prompt' is missing" in private.unusable[0].reason


def test_files_that_number_from_zero_go_together(write):
    one, two = write("a.jsonl", pair(1, id=0), pair(2, id=1)), write("b.jsonl", pair(3, id=0), pair(4, id=2))
    samples = read_many([str(one), str(two)])
    assert [sample.id for sample in samples] == ["a:0", "1", "b:0", "2"]
    validation, anchors = read_public(validation=[str(one)], anchors=[str(two)])
    assert [sample.id for sample in validation + anchors] == ["a:0", "1", "b:0", "2"]
    assert [sample.id for sample in read_samples(one)] == ["0", "1"]


def test_files_of_one_name_are_told_apart_by_their_folders(write):
    sources = [str(write(f"{folder}/val.jsonl", pair(n, id=0))) for n, folder in enumerate(("x", "y"))]
    assert [sample.id for sample in read_many(sources)] == ["x/val:0", "y/val:0"]


def test_labels_of_files_end_however_much_alike_they_are(tmp_path):
    files = [tmp_path / "val.jsonl", tmp_path / "val.csv", tmp_path / "a" / "val.csv"]
    assert len(set(file_labels(files).values())) == 3


def test_a_record_in_two_public_files_is_told_as_such(write):
    a, b = write("a.jsonl", pair(1), pair(2)), write("b.jsonl", pair(3), pair(2))
    with pytest.raises(DataError, match=r"b\.jsonl, line 2: repeats the record of .*a\.jsonl, line 2; remove one"):
        read_many([str(a), str(b)])
    c = write("c.jsonl", pair(1, id="x"))
    with pytest.raises(DataError, match=r"c\.jsonl, line 1: repeats 'x' of "):
        read_many([str(c), str(c)])


def test_anchors_that_stand_in_the_validation_set_are_told(write, said):
    a, b = str(write("a.jsonl", pair(1), pair(2))), str(write("b.jsonl", pair(3), pair(2)))
    validation, anchors = read_public(validation=[a], anchors=[a])
    assert [sample.id for sample in validation] == [sample.id for sample in anchors]
    read_public(validation=[a], anchors=[b])
    assert [line.split(";")[0] for line in said] == [
        f"Warning: 2 of 2 anchors are also in the validation set ({a} is given for both)",
        f"Warning: 1 of 2 anchors is also in the validation set ({validation[1].id})",
    ]


def test_shards_of_a_private_folder_keep_one_of_each_record(write, said):
    write("data/1.jsonl", pair(1, id=0), pair(2, id=1))
    path = write("data/2.jsonl", pair(3, id=0), pair(2, id=1)).parent
    private = read_private(path)
    assert [sample.id for sample in private.samples] == ["1:0", "1", "2:0"]
    assert private.unusable[0].reason.startswith("repeats '1' of ")


def test_missing_domains_are_the_name_of_the_file_and_blanks_do_not_count(write, said):
    rows = [pair(n, domain=d) for n, d in enumerate([float("nan"), "med", "med ", " ", None, 3, 4.0, "Med", ""])]
    path = write("file.jsonl", *rows)
    domains = [sample.domain for sample in read_samples(path)]
    assert domains == ["file", "med", "med", "file", "file", "3", "4", "Med", "file"]
    assert said == [
        f"{path}: blanks around domain names are ignored: 'med ' as 'med'.",
        f"{path}: domains 'Med', 'med' differ only in capitals, blanks or hyphens, and count as different domains.",
    ]
    with pytest.raises(DataError, match="line 1: field 'domain' is not a text or a number"):
        read_samples(write("b.jsonl", pair(1, domain=["x"])))


def test_similar_names_are_grouped():
    assert similar_names(["a b", "A-b", "c", "a b", "a_b"]) == [["A-b", "a b", "a_b"]]


def test_ids_that_are_none_are_made_from_the_content(write):
    path = write("a.jsonl", pair(1, id=None), pair(2, id=float("nan")), pair(3, id=" "), pair(4, id=5.0))
    ids = [sample.id for sample in read_samples(path)]
    assert (len(set(ids)), ids[3]) == (4, "5")
    content = json.dumps([[{"role": "user", "content": "p1"}], "r1"])
    assert ids[0] == hashlib.sha256(content.encode()).hexdigest()[:16]


def test_fields_that_play_no_part_are_named_once_a_file(write, said):
    path = write("a.jsonl", pair(1, id=1, domain="x", source="web", clues={"score": 1}), pair(2, year=3, note=""))
    read_samples(path)
    read_samples(path)
    assert said == [f"{path}: fields 'source', 'year' are not used in prompt or response."]
    said.clear()
    read_samples(write("b.jsonl", pair(1, id=1, domain="x", quality="good", kind="cut")))
    assert said == []


def test_tools_cross_from_the_server_to_the_clients(write):
    described = [{"type": "function", "function": {"name": "f"}}]
    turns = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]
    samples = read_samples(write("a.jsonl", {"messages": turns, "tools": described}, {"messages": turns}))
    again = parse_samples(json.loads(json.dumps(as_rows(samples))), "validation")
    assert [sample.tools for sample in again] == [described, None]
    assert as_rows(samples)[1].keys() == {"id", "context", "response", "domain"}
    assert [s.content_digest for s in again] == [s.content_digest for s in samples]
    assert len({s.content_digest for s in samples}) == 2


def test_records_with_bytes_and_half_characters_can_be_written(tmp_path):
    rows = [{"a": b"ab", "b": "ü"}, {"a": "\ud83d", "b": "ü"}]
    write_jsonl(tmp_path / "a.jsonl", rows)
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines[0] == '{"a": "YWI=", "b": "ü"}'
    assert json.loads(lines[1]) == rows[1]
