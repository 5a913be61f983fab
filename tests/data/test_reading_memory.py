"""A private file takes a few bytes of memory for each record, and is read as the list it once was."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from clues.data.samples import overlap, read_private
from clues.data.source import repeated
from clues.io import spool

COUNT = 20_000
BYTES_A_RECORD = 100  # offsets, hashes and flags, and what sorting them takes; the text of a record is some 330


def write(path, count: int, start: int = 0, **more) -> None:
    with path.open("w") as stream:
        for number in range(start, start + count):
            pair = {"prompt": f"what is {number} " * 12, "response": f"it is {number} " * 12}
            stream.write(json.dumps({**pair, **{name: number for name in more}}) + "\n")


def peak(path) -> int:
    tracemalloc.start()
    private = read_private(path)
    assert sum(len(sample.response) for sample in private.samples) > 0
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return used


@pytest.mark.parametrize("more", [{}, {"id": True}], ids=["digests", "own ids"])
def test_memory_does_not_grow_with_the_text_of_the_records(tmp_path, monkeypatch, more):
    monkeypatch.setattr(spool, "LIMIT", 1 << 16)
    write(tmp_path / "few.jsonl", 100, **more)
    write(tmp_path / "many.jsonl", COUNT, **more)
    peak(tmp_path / "few.jsonl")  # whatever is loaded once
    few, many = peak(tmp_path / "few.jsonl"), peak(tmp_path / "many.jsonl")
    assert many - few < COUNT * BYTES_A_RECORD
    assert (tmp_path / "many.jsonl").stat().st_size > 3 * COUNT * BYTES_A_RECORD


def test_samples_beyond_memory_behave_as_a_list(tmp_path):
    write(tmp_path / "many.jsonl", COUNT, id=True)
    samples = read_private(tmp_path / "many.jsonl").samples
    assert len(samples) == COUNT
    assert [sample.id for sample in samples] == [str(number) for number in range(COUNT)]
    assert [sample.id for sample in samples[5:20:7]] == ["5", "12", "19"]
    assert samples[-1].record["response"] == samples[COUNT - 1].response
    assert samples[3] == samples[3]
    write(tmp_path / "public.jsonl", 2, start=COUNT - 1)
    assert overlap(samples, read_private(tmp_path / "public.jsonl").samples) == [str(COUNT - 1)]


def test_records_that_repeat_are_found_far_apart(tmp_path):
    write(tmp_path / "a.jsonl", COUNT)
    text = (tmp_path / "a.jsonl").read_text()
    (tmp_path / "a.jsonl").write_text(text + text.split("\n")[7] + "\n")
    private = read_private(tmp_path / "a.jsonl")
    assert len(private.samples) == COUNT + 1
    assert private.samples[COUNT].id == f"{private.samples[7].id}-2"
    assert private.unusable == []


def test_shards_that_number_from_zero_are_told_apart(tmp_path):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "one.jsonl", 500, id=True)
    write(tmp_path / "data" / "two.jsonl", 400, id=True)  # the same records
    three = [{"id": number, "prompt": "another", "response": f"{number}"} for number in (3, 600, 600)]
    (tmp_path / "data" / "three.jsonl").write_text("\n".join(json.dumps(record) for record in three))
    private = read_private(tmp_path / "data")
    assert len(private.samples) == 502
    assert [sample.id for sample in private.samples][2:5] == ["2", "one:3", "4"]
    assert [sample.id for sample in private.samples][500:] == ["three:3", "600"]
    reasons = [(bad.id, bad.reason.split(" of ")[0]) for bad in private.unusable]
    assert reasons == [("600", "field 'id' repeats '600'"), *((str(n), f"repeats '{n}'") for n in range(400))]


def test_equal_hashes_conclude_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("clues.data.source._key", lambda identity: len(identity))
    write(tmp_path / "a.jsonl", 150, id=True)
    write(tmp_path / "b.jsonl", 150)
    for name in ("a.jsonl", "b.jsonl"):
        private = read_private(tmp_path / name)
        assert (len(private.samples), private.unusable) == (150, [])
        assert len({sample.id for sample in private.samples}) == 150
    assert private.samples[0].id == private.samples[0].content_digest[:16]


def test_positions_of_repeated_keys():
    import numpy as np

    assert list(repeated(np.array([5, 3, 5, 1, 3, 5], dtype=np.uint64))) == [[1, 4], [0, 2, 5]]
    assert list(repeated(np.array([], dtype=np.uint64))) == list(repeated(np.array([4], dtype=np.uint64))) == []
