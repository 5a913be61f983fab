from __future__ import annotations

import json

import pytest

from clues.data.samples import overlap, read_many, read_samples
from clues.errors import DataError

PAIR = {"prompt": "p", "response": "r"}


@pytest.mark.parametrize(
    ("record", "prompt", "response"),
    [
        ({"prompt": "p", "response": "r"}, "p", "r"),
        ({"prompt": "p", "completion": "r"}, "p", "r"),
        ({"question": "p", "answer": "r"}, "p", "r"),
        ({"instruction": "p", "input": "", "output": "r"}, "p", "r"),
        ({"instruction": "p", "input": "i", "output": "r"}, "p\n\ni", "r"),
        ({"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]}, "p", "r"),
    ],
)
def test_every_dialect_is_detected(tmp_path, record, prompt, response):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(record))
    (sample,) = read_samples(path)
    assert (sample.context[-1]["content"], sample.response, sample.record) == (prompt, response, record)
    assert sample.domain == "a"


def test_every_format_gives_the_same_samples(tmp_path):
    import datasets
    import pyarrow
    import pyarrow.parquet

    rows = [{"id": f"{n}", "prompt": f"p{n}", "response": f"r{n}"} for n in range(3)]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "a.csv").write_text("id,prompt,response\n" + "".join(f"{n},p{n},r{n}\n" for n in range(3)))
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "a.parquet")
    datasets.Dataset.from_list(rows).save_to_disk(tmp_path / "a")
    expected = [(row["id"], row["prompt"], row["response"]) for row in rows]
    for source in ("a.jsonl", "a.json", "a.csv", "a.parquet", "a"):
        found = [(s.id, s.context[0]["content"], s.response) for s in read_samples(tmp_path / source)]
        assert found == expected


def test_ids_without_an_id_field_are_stable_and_unique(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in (PAIR, {"prompt": "q", "response": "r"}, PAIR)))
    first, second = read_samples(path), read_samples(path)
    assert [s.id for s in first] == [s.id for s in second]
    assert len({s.id for s in first}) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"a\.jsonl: contains no records"),
        ('{"prompt": "p", "response": "r"}\n{"prompt":', r"a\.jsonl, line 2: broken JSON"),
        ("[1]", r"line 1: is not a JSON object"),
        ('{"prompt": "p", "response": "r"}\n{"prompt": "p"}', r"line 2: field 'response' is missing"),
        ('{"prompt": "p", "response": "  "}', r"line 1: field 'response' is empty"),
        ('{"prompt": "p", "response": 3}', r"line 1: field 'response' is not a text"),
        ('{"text": "t"}', r"a\.jsonl: fields text fit no known dialect"),
        (
            '{"id": 1, "prompt": "p", "response": "r"}\n{"id": 1, "prompt": "p", "response": "r"}',
            r"line 2: field 'id' r",
        ),
        ('{"messages": [{"role": "user", "content": "p"}]}', "does not end with a message of the assistant"),
        ('{"prompt": "p", "response": "r", "domain": "score"}', "domain 'score' is reserved for a column"),
    ],
)
def test_bad_files_name_place_and_field(tmp_path, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_samples(path)


def test_errors_never_show_the_text_of_a_sample(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "SECRET", "response": "SECRET"}\n{"prompt": "SECRET" "response"}')
    with pytest.raises(DataError) as caught:
        read_samples(path)
    assert "SECRET" not in str(caught.value)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        read_samples(tmp_path / "none.jsonl")


def test_overlap_is_found_by_content(tmp_path):
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": "x", **PAIR}))
    (tmp_path / "b.jsonl").write_text(json.dumps({"id": "y", **PAIR}))
    assert overlap(read_samples(tmp_path / "a.jsonl"), read_samples(tmp_path / "b.jsonl")) == ["x"]
    with pytest.raises(DataError, match="repeats 'x'"):
        read_many([str(tmp_path / "a.jsonl"), str(tmp_path / "a.jsonl")])
