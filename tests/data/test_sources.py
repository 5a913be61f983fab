"""From the name of a source to its files: folders, patterns, compression, and failures of any reader."""

from __future__ import annotations

import gzip
import json

import datasets
import pandas
import pyarrow
import pyarrow.parquet
import pytest

from clues.data.records import sources
from clues.data.records.sources import rows
from clues.data.samples import read_samples
from clues.errors import DataError

ROWS = [{"id": f"{n}", "prompt": f"p{n}", "response": f"r{n}"} for n in range(4)]
LINES = [json.dumps(row) + "\n" for row in ROWS]


def prompts(source):
    return [row.record["prompt"] for row in rows(source)]


def shards(folder, kind):
    folder.mkdir()
    for number in (0, 1):
        part = ROWS[2 * number : 2 * number + 2]
        path = folder / f"part-{number:05}{kind}"
        if kind == ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(part), path)
        elif kind == ".jsonl.gz":
            path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in part).encode()))
        elif kind == ".json":
            path.write_text(json.dumps(part))
        else:
            pandas.DataFrame(part).to_csv(path, index=False, sep="\t" if kind == ".tsv" else ",")


@pytest.mark.parametrize("kind", [".parquet", ".jsonl.gz", ".csv", ".tsv", ".json"])
def test_a_folder_of_shards_is_one_source(tmp_path, kind):
    shards(tmp_path / "data", kind)
    (tmp_path / "data" / "README.md").write_text("no data")
    (tmp_path / "data" / ".hidden.jsonl").write_text("no data")
    samples = read_samples(tmp_path / "data")
    assert [sample.id for sample in samples] == ["0", "1", "2", "3"]
    assert {sample.domain for sample in samples} == {"data"}
    assert samples[2].place.endswith(("part-00001" + kind + ", line 1", f"{kind}, line 2", ", row 1", ", record 1"))


def test_a_pattern_names_files_that_keep_their_own_domains(tmp_path):
    for name in ("law", "medicine"):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": 0, "prompt": name, "response": "r"}))
    samples = read_samples(f"{tmp_path}/*.jsonl")
    assert [(s.id, s.domain) for s in samples] == [("law:0", "law"), ("medicine:0", "medicine")]


def test_patterns_that_name_nothing_and_files_with_brackets(tmp_path):
    (tmp_path / "tests[v2].jsonl").write_text(LINES[0])
    assert prompts(tmp_path / "tests[v2].jsonl") == ["p0"]
    with pytest.raises(DataError, match="no file matches; check the pattern"):
        prompts(f"{tmp_path}/none-*.jsonl")


def test_a_description_beside_shards_is_no_shard(tmp_path):
    shards(tmp_path / "data", ".parquet")
    (tmp_path / "data" / "dataset_infos.json").write_text("{}")
    assert prompts(tmp_path / "data") == ["p0", "p1", "p2", "p3"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a.jsonl", "b.csv"], r"several kinds \(.jsonl, .csv\); name one: "),
        (["train-00000-of-00001.jsonl", "test-00000-of-00001.jsonl"], r"several splits \(test, train\)"),
        (["notes.txt"], "is not a folder saved by datasets and contains no file of a known kind"),
    ],
)
def test_a_folder_that_is_not_one_source_is_refused(tmp_path, names, message):
    (tmp_path / "data").mkdir()
    for name in names:
        (tmp_path / "data" / name).write_text(LINES[0])
    with pytest.raises(DataError, match=message):
        prompts(tmp_path / "data")


def test_splits_saved_by_datasets_are_told_apart(tmp_path):
    saved = datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)})
    saved.save_to_disk(tmp_path / "data")
    with pytest.raises(DataError, match=r"several splits \(train\); name the folder of one"):
        prompts(tmp_path / "data")
    assert prompts(tmp_path / "data" / "train") == ["p0", "p1", "p2", "p3"]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kind", [".jsonl", ".json", ".csv", ".tsv"])
def test_every_kind_of_text_may_be_compressed(tmp_path, suffix, kind):
    text = {".jsonl": "".join(LINES[:1]), ".json": json.dumps(ROWS[:1])}.get(kind, "prompt\tresponse\np0\tr0\n")
    pack = gzip.compress if suffix == ".gz" else lambda data: pyarrow.compress(data, "zstd", asbytes=True)
    path = tmp_path / f"a{kind}{suffix}"
    path.write_bytes(pack(text.encode()))
    (sample,) = read_samples(path)
    assert (sample.context[0]["content"], sample.domain) == ("p0", "a")
    path.write_bytes(pack((text * 400).encode())[:-6])
    with pytest.raises(DataError, match=r"is not a complete gzip file|cannot be read \(it is truncated"):
        prompts(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1", "Git LFS pointer"),
        ("a.parquet", b"PAR1 and no more", "is not a Parquet file, or not a complete one"),
        ("a.xlsx", b"PK\x03\x04", r"unknown file type; use \.jsonl"),
        ("a.jsonl.bz2", b"BZh9", "unknown file type"),
    ],
)
def test_files_that_cannot_be_read_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        prompts(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_whatever_a_reader_raises_is_a_sentence_with_the_place(tmp_path, monkeypatch):
    def broken(file):
        yield from list(rows(tmp_path / "good.jsonl"))
        raise KeyError("PRIVATE")

    (tmp_path / "good.jsonl").write_text("".join(LINES))
    (tmp_path / "bad.csv").write_text("")
    monkeypatch.setitem(sources._TEXTS, ".csv", broken)
    with pytest.raises(DataError, match=r"bad\.csv, after line 4: cannot be read \(KeyError\)") as caught:
        prompts(tmp_path / "bad.csv")
    assert "PRIVATE" not in str(caught.value)


@pytest.mark.parametrize("name", ["none.jsonl", "a/b.csv", "a/b.txt", "/a/b/c", "x\0y"])
def test_what_is_not_there_is_told(name):
    with pytest.raises(DataError, match="check the path"):
        prompts(name)


def test_parquet_of_pandas_keeps_whole_numbers_and_tells_bytes(tmp_path):
    frame = pandas.DataFrame(
        {
            "id": [1.0, 2.0, None],
            "prompt": ["a", "b", "c"],
            "input": ["x", float("nan"), None],
            "response": ["d", "e", "f"],
            "count": pandas.array([1, None, 3], dtype="Int64"),
        },
        index=[5, 6, 7],
    )
    frame.to_parquet(tmp_path / "a.parquet")
    samples = read_samples(tmp_path / "a.parquet")
    assert [sample.id for sample in samples[:2]] == ["1", "2"]
    assert [sample.record["count"] for sample in samples] == [1, None, 3]
    table = pyarrow.table({"prompt": [b"a"], "response": ["b"]})
    pyarrow.parquet.write_table(table, tmp_path / "bytes.parquet")
    with pytest.raises(DataError, match="row 1: field 'prompt' contains bytes, not text"):
        read_samples(tmp_path / "bytes.parquet")


def test_a_column_that_stands_twice_is_refused(tmp_path):
    table = pyarrow.Table.from_arrays([["a"], ["b"], ["c"]], names=["prompt", "response", "response"])
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="names a column twice"):
        prompts(tmp_path / "a.parquet")
