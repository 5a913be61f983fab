"""A conversation as text, by the model's own chat template, and where in it the responses stand."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError

from clues.data.dialects import Message
from clues.data.samples import Sample
from clues.settings import DataSettings

Tokenizer = Any  # transformers.PreTrainedTokenizerBase
# Some templates write today's date: the same sample would be other tokens tomorrow.
_NOW = datetime(2025, 1, 1, tzinfo=UTC)
_CLOCK = re.compile(r"""strftime_now\(\s*(?P<quote>['"])(?P<format>.*?)(?P=quote)\s*\)""")
_STAND_IN = "CLUES-STANDS-IN-HERE"
_PLAIN = "### {role}:\n{content}\n\n"


class TemplateRefusal(ValueError):
    """Why a template cannot render a conversation, with the remedy."""


@dataclass(frozen=True)
class Rendered:
    """`text` up to the end of the response.

    `start`: where the response begins. `earlier`: the spans of earlier responses, with their end tokens. `contents`:
    the spans of what people wrote, where these are known. `ends`: whether an end token closes the response.
    """

    text: str
    start: int
    ends: bool
    earlier: tuple[tuple[int, int], ...] = ()
    contents: tuple[tuple[int, int], ...] = ()


def render(sample: Sample, tokenizer: Tokenizer, data: DataSettings) -> Rendered:
    """Render a sample once, as a whole.

    The response begins where a stand-in for it does: what the template writes in front (a header, an empty thought) is
    part of the prompt. Where the template writes no end token, the tokenizer's own closes the response.

    Raises:
        TemplateRefusal: the template refuses the conversation or leaves out a part of it.
    """
    eos = tokenizer.eos_token or ""
    if not tokenizer.chat_template and data.template is None:
        return _without_template(sample, eos)
    answer = {"role": "assistant", "content": sample.response}
    messages = [*sample.context, answer]
    whole = _applied(messages, sample.tools, tokenizer, data)
    _refuse_what_is_left_out(sample, whole)
    silent = [{key: value for key, value in message.items() if key != "tool_calls"} for message in messages]
    if silent != messages and _applied(silent, sample.tools, tokenizer, data) == whole:
        raise TemplateRefusal(
            "the model's chat template leaves out the tool call; remove such records, or name another template by "
            "data.template"
        )
    start, tail = _response_place(messages, whole, sample, tokenizer, data)
    body = whole[start:].rstrip("\n")
    if not tail:
        body += eos
    earlier = _earlier(messages, whole, tail, sample, tokenizer, data) if data.responses == "all" else ()
    return Rendered(whole[:start] + body, start, bool(tail or eos), earlier, _contents(messages, whole))


def _without_template(sample: Sample, eos: str) -> Rendered:
    if sample.tools or any("tool_calls" in message for message in sample.context):
        raise TemplateRefusal("the model has no chat template, which tool calls need; name one by data.template")
    prompt = "".join(_PLAIN.format(role=m["role"].capitalize(), content=m["content"]) for m in sample.context)
    prompt += "### Response:\n"
    return Rendered(prompt + sample.response + eos, len(prompt), bool(eos))


def _applied(
    messages: Sequence[Message], tools: Any, tokenizer: Tokenizer, data: DataSettings, prompt: bool = False
) -> str:
    """The template's text of messages; with what comes before an answer where `prompt`."""
    try:
        text: str = tokenizer.apply_chat_template(
            list(messages),
            tools=tools,
            tokenize=False,
            add_generation_prompt=prompt,
            chat_template=_timeless(tokenizer.get_chat_template(_template(data.template), tools)),
        )
        return text
    except Exception as error:  # whatever a template does with the messages
        if isinstance(error, ValueError) and isinstance(tokenizer.chat_template, Mapping):
            names = ", ".join(sorted(tokenizer.chat_template))
            raise TemplateRefusal(f"the model has several chat templates; name one by data.template: {names}") from None
        told = str(error).strip().splitlines() if isinstance(error, TemplateError) else []
        reason = told[0][:200] if told else type(error).__name__
        raise TemplateRefusal(f"the model's chat template refuses it ({reason}); {_remedy(messages)}") from None


@functools.lru_cache(maxsize=8)
def _timeless(template: str) -> str:
    """The template with a fixed time in the place of now."""
    return _CLOCK.sub(lambda call: json.dumps(_NOW.strftime(call["format"])), template)


def _template(chosen: str | None) -> str | None:
    """The name of a template, or the content of a file of that name."""
    if chosen and Path(chosen).is_file():
        return Path(chosen).read_text(encoding="utf-8")
    return chosen


def _remedy(messages: Sequence[Message]) -> str:
    if messages[0]["role"] == "system":
        return "move the system turn into the first question, or name another template by data.template"
    return "change its turns, or name another template by data.template"


def _refuse_what_is_left_out(sample: Sample, whole: str) -> None:
    for message in sample.context:
        content = message.get("content")
        if message["role"] != "assistant" and isinstance(content, str) and content.strip() not in whole:
            raise TemplateRefusal(
                f"the model's chat template leaves out the turn of role '{message['role']}'; {_remedy(sample.context)}"
            )


def _response_place(
    messages: Sequence[Message], whole: str, sample: Sample, tokenizer: Tokenizer, data: DataSettings
) -> tuple[int, str]:
    """(where the response begins, what the template writes after a response, less line ends)."""
    stand_in = [*messages[:-1], {**messages[-1], "content": _STAND_IN}]
    text = _applied(stand_in, sample.tools, tokenizer, data)
    place = text.rfind(_STAND_IN)
    if place < 0:
        raise TemplateRefusal("the model's chat template changes the response; name another by data.template")
    tail = text[place + len(_STAND_IN) :].strip("\n")
    if whole.startswith(text[:place]):
        return place, tail
    # The template writes another beginning for this response, which brings a thought of its own: all of it counts.
    prompt = _applied(messages[:-1], sample.tools, tokenizer, data, prompt=True)
    if whole.startswith(prompt):
        return len(prompt), tail
    same = next((n for n, (a, b) in enumerate(zip(text, whole, strict=False)) if a != b), min(len(text), len(whole)))
    return same, tail


def _earlier(
    messages: Sequence[Message], whole: str, tail: str, sample: Sample, tokenizer: Tokenizer, data: DataSettings
) -> tuple[tuple[int, int], ...]:
    """The spans of the assistant's earlier turns that stand in the text as they were written."""
    spans = []
    for number, message in enumerate(messages[:-1]):
        content = message.get("content")
        if message["role"] != "assistant" or not isinstance(content, str) or not content.strip():
            continue
        stand_in = [*messages[:number], {**message, "content": _STAND_IN}, *messages[number + 1 :]]
        place = _applied(stand_in, sample.tools, tokenizer, data).find(_STAND_IN)
        turn = content.strip()
        if place >= 0 and whole.startswith(turn, place):
            end = place + len(turn)
            spans.append((place, end + len(tail) if whole.startswith(tail, end) else end))
    return tuple(spans)


def _contents(messages: Sequence[Message], whole: str) -> tuple[tuple[int, int], ...]:
    """Where what people wrote stands in the text, one after the other."""
    spans, place = [], 0
    for message in messages:
        content = message.get("content")
        if isinstance(content, str) and content.strip():
            found = whole.find(content.strip(), place)
            if found < 0:
                continue
            place = found + len(content.strip())
            spans.append((found, place))
    return tuple(spans)


def has_clock(tokenizer: Tokenizer) -> bool:
    return "strftime_now" in str(tokenizer.chat_template)
