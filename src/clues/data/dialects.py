"""The record layouts in use for fine-tuning data, and how each becomes prompt messages and a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Message = dict[str, str]
Pair = tuple[list[Message], str]


class FieldError(ValueError):
    """A field of a record is missing, empty or of the wrong type."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"field '{field}' {problem}")


@dataclass(frozen=True)
class Dialect:
    """`read` turns a record into (prompt messages, response); `write` returns it with another response."""

    name: str
    fields: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Pair]
    write: Callable[[Mapping[str, Any], str], dict[str, Any]]


def _text(record: Mapping[str, Any], field: str) -> str:
    if field not in record or record[field] is None:
        raise FieldError(field, "is missing; add it or name another dialect")
    if not isinstance(record[field], str):
        raise FieldError(field, "is not a text; write it as one string")
    if not record[field].strip():
        raise FieldError(field, "is empty; fill it or remove the record")
    return str(record[field])


def _pair(prompt: str, response: str) -> Dialect:
    return Dialect(
        name=f"{prompt}-{response}" if prompt != "question" else "question-answer",
        fields=(prompt, response),
        read=lambda record: ([{"role": "user", "content": _text(record, prompt)}], _text(record, response)),
        write=lambda record, text: {**record, response: text},
    )


def _read_alpaca(record: Mapping[str, Any]) -> Pair:
    instruction = _text(record, "instruction")
    if record.get("input"):
        instruction += "\n\n" + _text(record, "input")
    return [{"role": "user", "content": instruction}], _text(record, "output")


def _read_messages(record: Mapping[str, Any]) -> Pair:
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        raise FieldError("messages", "is missing or not a list of messages")
    turns = []
    for position, message in enumerate(messages):
        if not isinstance(message, Mapping):
            raise FieldError(f"messages[{position}]", "is not an object with role and content")
        try:
            turns.append({"role": _text(message, "role"), "content": _text(message, "content")})
        except FieldError as error:
            raise FieldError(f"messages[{position}]", f"is unusable: {error}") from None
    if turns[-1]["role"] != "assistant":
        raise FieldError("messages", "does not end with a message of the assistant; that one is the response")
    if len(turns) == 1:
        raise FieldError("messages", "holds no prompt before the response")
    return turns[:-1], turns[-1]["content"]


def _write_messages(record: Mapping[str, Any], text: str) -> dict[str, Any]:
    *context, last = record["messages"]
    return {**record, "messages": [*context, {**last, "content": text}]}


DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        Dialect("messages", ("messages",), _read_messages, _write_messages),
        Dialect(
            "alpaca",
            ("instruction", "output"),
            _read_alpaca,
            lambda record, text: {**record, "output": text},
        ),
        _pair("prompt", "completion"),
        _pair("prompt", "response"),
        _pair("question", "answer"),
    )
}


def detect(record: Mapping[str, Any]) -> Dialect | None:
    """The first dialect whose fields the record has, or None."""
    return next((d for d in DIALECTS.values() if all(field in record for field in d.fields)), None)
