"""Record layouts of fine-tuning data, and how each becomes prompt messages and a response."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clues.data.layouts.turns import (
    USED_KEYS,
    FieldError,
    Message,
    RecordError,
    history_of,
    messages_of,
    text_of,
    tools_of,
)
from clues.data.records.values import blank, shown_names

__all__ = ["DIALECTS", "Dialect", "FieldError", "Message", "Pair", "RecordError", "detect", "unknown_layout"]

Pair = tuple[list[Message], str]
_SYSTEM = ("system", "system_prompt")
_PASSAGE = ("context", "passage")


@dataclass(frozen=True)
class Dialect:
    """A layout. `fields` identify it; `also` are optional fields.

    `read` turns a record into (prompt messages, response); `write` returns the record with another response.
    """

    name: str
    fields: tuple[str, ...]
    also: tuple[str, ...]
    read: Callable[[Mapping[str, Any]], Pair]
    write: Callable[[Mapping[str, Any], str], dict[str, Any]]

    def unused(self, record: Mapping[str, Any]) -> list[str]:
        """The fields with a value that prompt and response do not use, including those of messages."""
        unused = [name for name, value in record.items() if name not in self._known and not blank(value)]
        for field in self.fields:
            turns = record.get(field)
            for turn in turns if isinstance(turns, list) else []:
                if isinstance(turn, Mapping):
                    unused += [f"{field}[].{name}" for name, value in turn.items() if not _used(name, value)]
            last = turns[-1] if isinstance(turns, list) and turns else None
            if field == self.fields[-1] and isinstance(last, Mapping):  # only the text is the response
                names = ("reasoning_content", "thinking", "name")
                unused += [f"{field}[-1].{name}" for name in names if not blank(last.get(name))]
        return list(dict.fromkeys(str(name) for name in unused))

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset([*self.fields, *self.also])


def _used(name: Any, value: Any) -> bool:
    return name in USED_KEYS or blank(value)


def _pair(name: str, prompt: str, response: str, *also: str) -> Dialect:
    """A layout of two fields, and optional ones before the prompt (system, earlier turns, a passage) or after it."""

    def read(record: Mapping[str, Any]) -> Pair:
        history = history_of(record.get("history"), "history")
        if isinstance(record.get(prompt), list):
            context = _opened(record, [*history, *messages_of(record[prompt], prompt)])
        else:
            texts = [text_of(record, field) for field in _PASSAGE if field in also and not blank(record.get(field))]
            texts.append(text_of(record, prompt))
            texts += [text_of(record, "input")] if "input" in also and not blank(record.get("input")) else []
            context = _opened(record, [*history, {"role": "user", "content": "\n\n".join(texts)}])
        if not isinstance(record.get(response), list):
            return context, text_of(record, response)
        return _split([*context, *messages_of(record[response], response)], response)

    return Dialect(name, (prompt, response), (*_SYSTEM, "history", "tools", *also), read, _writer(response))


def _conversation(name: str, field: str) -> Dialect:
    def read(record: Mapping[str, Any]) -> Pair:
        return _split(_opened(record, messages_of(record.get(field), field)), field)

    return Dialect(name, (field,), (*_SYSTEM, "tools"), read, _writer(field))


def _opened(record: Mapping[str, Any], turns: list[Message]) -> list[Message]:
    """The turns after the system prompt of the record's fields, unless they already begin with it."""
    texts = [text_of(record, field) for field in _SYSTEM if not blank(record.get(field))]
    opening = [{"role": "system", "content": "\n\n".join(dict.fromkeys(texts))}] if texts else []
    if opening and turns[:1] == opening:
        return turns
    if opening and turns[0]["role"] == "system":
        return [{"role": "system", "content": f"{opening[0]['content']}\n\n{turns[0]['content']}"}, *turns[1:]]
    return [*opening, *turns]


def _split(turns: list[Message], field: str) -> Pair:
    """(all turns but the last, text of the last). Raises FieldError if the last is not an answer in words."""
    *context, last = turns
    if last["role"] != "assistant":
        raise FieldError(field, "does not end with a message of the assistant; that one is the response")
    if last.get("tool_calls"):
        raise FieldError(field, "ends with a call of a tool, which cannot be scored; end it with an answer in words")
    if not any(turn["role"] != "system" for turn in context):
        raise FieldError(field, "contains no prompt before the response")
    return context, last["content"]


def _writer(field: str) -> Callable[[Mapping[str, Any], str], dict[str, Any]]:
    """A function that replaces the response by a text, keeping its form."""

    def write(record: Mapping[str, Any], text: str) -> dict[str, Any]:
        turns = record.get(field)
        if not isinstance(turns, list) or not turns:
            return {**record, field: text}
        *context, last = turns
        key = "value" if "content" not in last and "value" in last else "content"
        content: Any = [{"type": "text", "text": text}] if isinstance(last.get(key), list) else text
        return {**record, field: [*context, {**last, key: content}]}

    return write


DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        _conversation("messages", "messages"),
        _pair("alpaca", "instruction", "output", "input"),
        _pair("prompt-completion", "prompt", "completion"),
        _pair("prompt-response", "prompt", "response"),
        _pair("question-answer", "question", "answer", *_PASSAGE),
        _conversation("sharegpt", "conversations"),
        _pair("instruction-response", "instruction", "response", "input", *_PASSAGE),
        _pair("question-response", "question", "response", *_PASSAGE),
    )
}

_ADVICE = {
    ("chosen",): "pairs of preferences: rename 'chosen' to completion and give each record a prompt",
    ("text",): "whole texts without a separate response: write a prompt and a response for each",
    ("answers",): "answers to choose from: write one of them as the field answer",
    ("conversation",): "conversations: rename that field to messages (role, content) or conversations (from, value)",
    ("dialogue",): "conversations: write them as messages (role, content)",
    ("turns",): "conversations: write them as messages (role, content)",
}


def detect(record: Mapping[str, Any]) -> Dialect | None:
    """The first dialect whose fields the record has, if any."""
    return next((d for d in DIALECTS.values() if all(field in record for field in d.fields)), None)


def tools(record: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """The tools that a record describes for its conversation. Raises FieldError if they cannot be used."""
    return tools_of(record.get("tools"))


def unknown_layout(record: Mapping[str, Any]) -> str:
    """The error message for a record that fits no dialect: its fields, the closest layout, and the known ones."""
    names = shown_names(record).replace("'", "")
    problem = f"fields {names} fit no known dialect" if record else "its first record has no fields"
    known = "; ".join(f"{d.name} ({', '.join(d.fields)})" for d in DIALECTS.values())
    advice = _closest(record)
    if advice:
        return f"{problem}. They look like {advice}. Known are: {known}."
    return f"{problem}; rename them to one of: {known}."


def _closest(record: Mapping[str, Any]) -> str:
    plain = {str(name).strip().lower(): str(name) for name in record}
    for dialect in DIALECTS.values():
        if all(field in plain for field in dialect.fields):
            return f"{dialect.name}: {_renamed(dialect, plain)}"
    for names, advice in _ADVICE.items():
        if all(name in plain for name in names):
            return advice
    close = [d for d in DIALECTS.values() if len(d.fields) > 1 and any(field in plain for field in d.fields)]
    if not close:
        return ""
    lacking = next(field for field in close[0].fields if field not in plain)
    advice = "; ".join(part for part in (_renamed(close[0], plain), f"give it that name, or add {lacking}") if part)
    return f"{close[0].name} without the field {lacking}: {advice}"


def _renamed(dialect: Dialect, plain: Mapping[str, str]) -> str:
    """What to rename where names differ from a dialect's in blanks and capitals only. `plain`: names by plain ones."""
    wrong = [field for field in dialect.fields if plain.get(field, field) != field]
    return f"rename {', '.join(f'{shown_names([plain[field]])} to {field}' for field in wrong)}" if wrong else ""
