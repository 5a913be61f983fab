"""Whatever a file of samples holds: samples, records set aside with a reason, or sentences. Nothing is lost."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
from hypothesis import given
from hypothesis import strategies as st
from mutation import VALUES, changed_bytes, changed_record, fuzzed

from clues.data.layouts.dialects import DIALECTS
from clues.data.samples import Private, as_rows, parse_samples, read_private, read_samples
from clues.errors import CluesError
from clues.io.files import write_jsonl

TURNS = [{"role": "user", "content": "p"}, {"role": "assistant", "content": "r"}]
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
CALLED = [
    TURNS[0],
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c", "content": "x"},
    TURNS[1],
]
RECORDS = [
    {"id": "a", "prompt": "p", "response": "r", "domain": "d", "system": "s"},
    {"instruction": "p", "input": "i", "output": "r", "history": [["a", "b"]]},
    {"context": "c", "question": "p", "answer": "r"},
    {"messages": TURNS},
    {"messages": CALLED, "tools": [{"type": "function", "function": {"name": "f"}}]},
    {"conversations": [{"from": "human", "value": "p"}, {"from": "gpt", "value": "r"}]},
    {"prompt": TURNS[:1], "completion": TURNS[1:]},
]
LINES = [json.dumps(record) for record in RECORDS]
TEXTS = [
    "\n".join(LINES).encode(),
    json.dumps(RECORDS).encode(),
    b'id,prompt,response\n1,what,this\n2,"a, b","c ""d"""\n3,x,y\n',
    "id;prompt;response\n1;what;thís\n".encode(),
    "id\tprompt\tresponse\n1\twhat\tthis\n".encode("utf-16"),
    gzip.compress("\n".join(LINES[:2]).encode(), mtime=0),
]


def checked(file: Path) -> Private | None:
    """Read as a private and as a public file: neither ends in anything but samples or sentences."""
    try:
        private = read_private(file)
    except CluesError as error:
        assert 0 < len(str(error)) < 20_000
        return None
    assert len({sample.id for sample in private.samples}) == len(private.samples)
    assert all(sample.response.strip() and sample.context for sample in private.samples)
    again = parse_samples(json.loads(json.dumps(as_rows(private.samples))), "message")
    assert [s.content_digest for s in again] == [s.content_digest for s in private.samples]
    for sample in private.samples:
        layout = DIALECTS[sample.dialect]
        assert layout.read(layout.write(sample.record, "another")) == (sample.context, "another")
    write_jsonl(file.with_name("kept.jsonl"), [each.record for each in (*private.samples, *private.unusable)])
    assert (private.unusable == []) == is_strict(file)
    return private


def is_strict(file: Path) -> bool:
    try:
        read_samples(file)
        return True
    except CluesError:
        return False


@fuzzed
@given(content=changed_bytes(TEXTS), kind=st.sampled_from([".jsonl", ".json", ".csv", ".tsv", ".parquet", ".jsonl.gz"]))
def test_any_bytes(tmp_path, content, kind):
    file = Path(tmp_path) / f"samples{kind}"
    file.write_bytes(content)
    checked(file)


@fuzzed
@given(records=st.lists(changed_record(RECORDS), min_size=1, max_size=4))
def test_any_records(tmp_path, records):
    file = Path(tmp_path) / "samples.jsonl"
    file.write_text("\n".join(json.dumps(record) for record in records))
    private = checked(file)
    if private is not None:
        assert len(private.samples) + len(private.unusable) == len(records)


@fuzzed
@given(value=VALUES)
def test_any_value(tmp_path, value):
    file = Path(tmp_path) / "samples.json"
    file.write_text(json.dumps(value))
    checked(file)


@fuzzed
@given(column=st.lists(VALUES, min_size=1, max_size=3))
def test_any_column_of_parquet(tmp_path, column):
    file = Path(tmp_path) / "samples.parquet"
    try:
        table = pyarrow.table({"prompt": ["p"] * len(column), "response": ["r"] * len(column), "id": column})
        pyarrow.parquet.write_table(table, file)
    except (pyarrow.ArrowException, OverflowError, UnicodeError):  # Parquet has no form for it
        return
    checked(file)
