"""Messages as Flower's records: what is put in comes out, and whatever else arrives is a failure."""

from __future__ import annotations

import io
import json
import pickle

import numpy
import pytest
import torch
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict

from clues.collaboration.flower.apps import answered
from clues.collaboration.flower.records import answer_of, packed, reply_to, unpacked
from clues.collaboration.protocol import Content, Failure
from clues.collaboration.resident import Resident
from clues.settings import SiloFile


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('unpickled')",))


def pickled() -> Array:
    """An array that would run code if it were loaded with pickle."""
    buffer = io.BytesIO()
    numpy.save(buffer, numpy.array([Bomb()], dtype=object), allow_pickle=True)
    return Array("object", (1,), "numpy.ndarray", buffer.getvalue())


def facts(value: str) -> RecordDict:
    return RecordDict({"facts": ConfigRecord({"json": value})})


WRONG = {
    "no records": RecordDict(),
    "no JSON": facts("{"),
    "facts of another type": RecordDict({"facts": ArrayRecord([numpy.zeros(1)])}),
    "a pickle": RecordDict({**facts("{}"), "arrays": ArrayRecord({"safetensors": pickled()})}),
    "pickled bytes": RecordDict(
        {**facts("{}"), "arrays": ArrayRecord({"safetensors": Array("f", (1,), "numpy.ndarray", pickle.dumps(Bomb()))})}
    ),
    "another shape than it says": RecordDict(
        {**facts("{}"), "arrays": ArrayRecord({"safetensors": Array("uint8", (9,), "numpy.ndarray", b"")})}
    ),
    "another name": RecordDict({**facts("{}"), "arrays": ArrayRecord({"x": Array(numpy.zeros(9, numpy.uint8))})}),
    "no safetensors": RecordDict(
        {**facts("{}"), "arrays": ArrayRecord({"safetensors": Array(numpy.full(99, 255, numpy.uint8))})}
    ),
}


@pytest.fixture(autouse=True)
def task(monkeypatch):
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


def test_a_message_arrives_as_it_was_sent():
    content = Content(
        {"job": "ab", "list": [1, None, 2.5]},
        {
            "x": torch.arange(6.0).reshape(2, 3),
            "half": torch.ones(2).half(),
            "int": torch.arange(3).int(),
            "": torch.ones(0),
        },
    )
    records = packed(content)
    assert len(records["arrays"]) == 1  # each of them costs requests
    arrived = unpacked(records)
    assert arrived.arrays.keys() == content.arrays.keys()
    assert arrived.facts == content.facts
    assert all(
        arrived.arrays[name].equal(tensor) and arrived.arrays[name].dtype == tensor.dtype
        for name, tensor in content.arrays.items()
    )
    assert unpacked(packed(Content({}, {}))) == Content({}, {})


@pytest.mark.parametrize("records", WRONG.values(), ids=WRONG)
def test_what_is_not_of_the_protocol_is_a_failure_on_either_side(records, tmp_path):
    question = Message(records, dst_node_id=1, message_type="query.select")
    assert answer_of(question) == Failure("its answer is not one of the protocol")
    own = SiloFile(id="a", data=str(tmp_path / "private.jsonl"), folder=str(tmp_path / "own"))
    reply = answered(question, Resident(own))
    assert answer_of(reply).reason in ("the message is not one of the protocol", "the message names no job")
    assert not (tmp_path / "own").exists()


def test_flowers_own_texts_are_not_shown():
    question = Message(packed(Content({}, {})), dst_node_id=1, message_type="query.hello")
    assert answer_of(reply_to(question, Failure("why"))) == Failure("why")
    for code, reason in ((2, "its process failed"), (5, "cannot be reached"), (8, "died"), (77, "error 77")):
        shown = answer_of(Message(Error(code, "private text"), reply_to=question)).reason
        assert reason in shown
        assert "private" not in shown


@pytest.mark.parametrize("job", ["../../etc", "/etc/passwd", "a" * 15, "A" * 16, "", None, 7, ["a" * 16]])
def test_a_job_that_is_no_id_opens_no_folder(job, tmp_path):
    own = SiloFile(id="a", data="nowhere.jsonl", folder=str(tmp_path / "own"))
    assert Resident(own).answer("prepare", json.loads(json.dumps({"job": job})), {}) == Failure(
        "the message names no job"
    )
    assert not (tmp_path / "own").exists()
