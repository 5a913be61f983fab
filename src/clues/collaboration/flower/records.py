"""Messages of the protocol as records of Flower, and back."""

from __future__ import annotations

import json

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Error, Message, RecordDict
from safetensors.numpy import save
from safetensors.torch import load

from clues.collaboration.protocol import Content, Failure

_FACTS, _ARRAYS, _WHOLE = "facts", "arrays", "safetensors"
_REFUSED = 1000  # our code of an error; lower ones are Flower's
_LONGEST = 500  # characters of a reason that are shown
# What Flower's own codes mean to a coordinator. Its texts may hold a client's, so that they are not shown.
_CODES = {
    2: "its process failed; its log says more",
    3: "it did not answer in time",
    5: "its node cannot be reached",
    8: "its process died",
}


def packed(content: Content) -> RecordDict:
    """All tensors are one array, as Flower asks for every array by requests of its own: an adapter has hundreds."""
    facts = ConfigRecord({"json": json.dumps(content.facts)})
    if not content.arrays:
        return RecordDict({_FACTS: facts})
    whole = save({name: tensor.detach().cpu().contiguous().numpy() for name, tensor in content.arrays.items()})
    return RecordDict({_FACTS: facts, _ARRAYS: ArrayRecord({_WHOLE: Array(np.frombuffer(whole, np.uint8))})})


def unpacked(records: RecordDict) -> Content:
    """Raises KeyError, ValueError or SafetensorError if the records are of another form."""
    arrays = load(records[_ARRAYS][_WHOLE].numpy().tobytes()) if _ARRAYS in records else {}
    return Content(json.loads(records[_FACTS]["json"]), arrays)


def reply_to(message: Message, answer: Content | Failure) -> Message:
    if isinstance(answer, Failure):
        return Message(Error(code=_REFUSED, reason=answer.reason), reply_to=message)
    return Message(packed(answer), reply_to=message)


def answer_of(reply: Message) -> Content | Failure:
    if reply.has_error():
        code = reply.error.code
        if code == _REFUSED:
            return Failure(str(reply.error.reason)[:_LONGEST])
        return Failure(_CODES.get(code, f"Flower's error {code}"))
    try:
        return unpacked(reply.content)
    except Exception:  # whatever arrived
        return Failure("its answer is not one of the protocol")
