"""Normalising messages of a conversation: OpenAI's and ShareGPT's forms, pairs, parts of text, tool calls."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from clues.data.records.values import blank, missing, pruned, shown_names, text_flaw, value_flaw

# role and content; optionally tool_calls, tool_call_id, name, reasoning_content
Message = dict[str, Any]

_ROLES = {
    "human": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "function": "tool",
    "observation": "tool",
    "function_response": "tool",
    "tool_response": "tool",
}
_KNOWN_ROLES = {"system", "developer", "user", "assistant", "tool", "ipython"}
_CALLS = ("function_call", "tool_call")  # ShareGPT's roles of turns whose text is a call in JSON
_ROLE_KEYS, _CONTENT_KEYS = ("role", "from"), ("content", "value")
_CARRIED = ("name", "tool_call_id", "reasoning_content", "thinking")
USED_KEYS = {*_ROLE_KEYS, *_CONTENT_KEYS, *_CARRIED, "tool_calls", "function_call"}


class RecordError(ValueError):
    """Why a record cannot be used, as the rest of a sentence without its full stop."""


class FieldError(RecordError):
    """A field of a record is missing, empty or of the wrong type."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"field '{field}' {problem}")


def text_of(record: Mapping[str, Any], field: str) -> str:
    """The text of a required field. Raises FieldError."""
    value = record.get(field)
    if missing(value):
        raise FieldError(field, "is missing; add it or name another dialect")
    if isinstance(value, bytes):
        raise FieldError(field, "contains bytes, not text; decode it before writing the file")
    if not isinstance(value, str):
        raise FieldError(field, f"is not a text ({_kind(value)}); write it as one string")
    if not value.strip():
        raise FieldError(field, "is empty; fill it or remove the record")
    return sound(value, field)


def sound(text: str, field: str) -> str:
    """Return the text. Raises FieldError if it contains characters that no tokenizer or file accepts."""
    flaw = text_flaw(text)
    if flaw:
        raise FieldError(field, flaw)
    return text


def messages_of(value: Any, field: str) -> list[Message]:
    """The turns of a list of messages, without blank system turns.

    Raises:
        FieldError: the value is not a list of messages, or a message cannot be used.
    """
    if isinstance(value, str):
        raise FieldError(field, "is one text and not a list of messages; write such records as JSON Lines")
    if not isinstance(value, list | tuple) or not value:
        raise FieldError(field, "is missing or not a list of messages")
    turns = []
    for position, message in enumerate(value):
        turn = _turn(message, f"{field}[{position}]")
        if turn["role"] != "system" or turn["content"]:
            turns.append(turn)
    if not turns:
        raise FieldError(field, "contains no message other than an empty system message")
    return turns


def history_of(value: Any, field: str) -> list[Message]:
    """Earlier turns, from pairs of question and answer or from messages. Raises FieldError."""
    if blank(value):
        return []
    if not isinstance(value, list | tuple):
        raise FieldError(
            field, "is not a list of earlier turns; write pairs of texts, [[asked, answered], …], or rename the field"
        )
    if all(isinstance(item, Mapping) for item in value):
        return messages_of(value, field)
    turns: list[Message] = []
    for position, pair in enumerate(value):
        where = f"{field}[{position}]"
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            raise FieldError(where, "is not a pair of texts, question and answer")
        for role, text, index in (("user", pair[0], 0), ("assistant", pair[1], 1)):
            name = f"{where}[{index}]"
            turns.append({"role": role, "content": text_of({name: text}, name)})
    return turns


def tools_of(value: Any, field: str = "tools") -> list[dict[str, Any]] | None:
    """The tool descriptions for the template, or None. Raises FieldError."""
    if blank(value):
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise FieldError(field, "is a text and not JSON; write the list of tools, or rename the field") from None
    if blank(value):
        return None
    if not isinstance(value, list) or not all(isinstance(tool, Mapping) for tool in value):
        raise FieldError(field, "is not a list of objects that describe tools")
    return list(_json_value(value, field))


def parts_of_text(value: Sequence[Any], field: str) -> str:
    """The joined text of content given in parts. Raises FieldError if a part is not text."""
    texts = []
    for position, part in enumerate(value):
        name = f"{field}[{position}]"
        text = part.get("text") if isinstance(part, Mapping) else part
        kind = part.get("type", "text") if isinstance(part, Mapping) else "text"
        if kind not in ("text", "input_text", "output_text") or not isinstance(text, str):
            raise FieldError(name, "is a part that is not text (an image, sound or file); only text can be scored")
        texts.append(sound(text, name))
    return "".join(texts)


def _turn(message: Any, field: str) -> Message:
    if not isinstance(message, Mapping):
        raise FieldError(field, "is not an object with role and content")
    present = {key: value for key, value in message.items() if not missing(value)}
    role_key = next((key for key in _ROLE_KEYS if key in present), None)
    if role_key is None:
        raise FieldError(field, f"has no role; it has the fields {shown_names(message)}")
    role = present[role_key]
    if not isinstance(role, str):
        raise FieldError(f"{field}.{role_key}", f"is not a text ({_kind(role)}); write the role of the speaker")
    plain = role.strip().lower().replace("-", "_")
    content = _content(present, field)
    calls = _calls(present, field)
    if plain in _CALLS:
        role, content, calls = "assistant", *_call_of_text(content, field)
    elif plain in _ROLES or plain in _KNOWN_ROLES:
        role = _ROLES.get(plain, plain)
    elif role_key == "from":
        raise FieldError(f"{field}.from", "is not a known role; use system, human, gpt, tool or function_call")
    if not content.strip() and not calls and role != "tool":
        if role != "system":
            raise FieldError(field, "is unusable: field 'content' is empty; fill it or remove the record")
        content = ""
    turn: Message = {"role": sound(role, f"{field}.{role_key}"), "content": content}
    if calls:
        turn["tool_calls"] = calls
    for key in _CARRIED:
        if not blank(present.get(key)):
            turn[key] = text_of({f"{field}.{key}": present[key]}, f"{field}.{key}")
    return turn


def _content(message: Mapping[str, Any], field: str) -> str:
    key = next((key for key in _CONTENT_KEYS if key in message), None)
    if key is None:  # tool calls need no text, and empty system turns are dropped
        if message.get("tool_calls") or message.get("function_call") or message.get("role") == "system":
            return ""
        raise FieldError(field, "is unusable: field 'content' is missing; add it or name another dialect")
    value, name = message[key], f"{field}.{key}"
    if isinstance(value, list | tuple):
        return parts_of_text(value, name)
    if not isinstance(value, str):
        raise FieldError(field, f"is unusable: field '{key}' is not a text ({_kind(value)}); write it as one string")
    return sound(value, name)


def _calls(message: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """Tool calls as templates expect them: arguments as an object, where files often have JSON text."""
    calls, legacy = message.get("tool_calls"), message.get("function_call")
    if blank(calls) and not blank(legacy):
        calls = [{"type": "function", "function": legacy}]
    if blank(calls):
        return []
    name = f"{field}.tool_calls"
    if not isinstance(calls, list) or not all(isinstance(call, Mapping) for call in calls):
        raise FieldError(name, "is not a list of calls, each an object with a function")
    result = pruned(calls)
    for call in result:
        function = call.get("function", call)
        if not isinstance(function, dict):
            raise FieldError(name, "contains a call whose function is not an object with name and arguments")
        function["arguments"] = _arguments(function.get("arguments", {}))
    return list(_json_value(result, name))  # pruned again: the JSON of the arguments is now part of it


def _arguments(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return parsed if isinstance(parsed, dict) else value


def _call_of_text(text: str, field: str) -> tuple[str, list[dict[str, Any]]]:
    """(text, calls) of a turn whose text is a call in JSON; other text is returned unchanged, without calls."""
    value = _arguments(text)
    if not isinstance(value, dict) or "name" not in value:
        return text, []
    return "", _calls({"function_call": value}, field)


def _json_value(value: Any, field: str) -> Any:
    flaw = value_flaw(value)
    if flaw:
        raise FieldError(field, flaw)
    return pruned(value)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "a list" if isinstance(value, list | tuple) else "an object"
