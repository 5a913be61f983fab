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

from clues.data.layouts.dialects import Message
from clues.data.samples import Sample
from clues.errors import ConfigError
from clues.settings import DataSettings

Tokenizer = Any  # transformers.PreTrainedTokenizerBase
# Some templates write today's date: the same sample would be other tokens tomorrow.
_NOW = datetime(2025, 1, 1, tzinfo=UTC)
_CLOCK = re.compile(r"""strftime_now\(\s*(?P<quote>['"])(?P<format>.*?)(?P=quote)\s*\)""")
_DAY = "{%- macro strftime_now(format) -%}" + _NOW.strftime("%d %B %Y") + "{%- endmacro -%}"
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


@dataclass(frozen=True)
class Renderer:
    """A tokenizer with the chosen chat template: its text, or one of the tokenizer's names, or None for its default."""

    tokenizer: Tokenizer
    template: str | None
    every_turn: bool

    def __call__(self, messages: Sequence[Message], tools: Any, prompt: bool = False) -> str:
        """The template's text of messages; with what comes before an answer where `prompt`.

        Raises:
            TemplateRefusal: whatever the template, or the code in it, has against the messages.
        """
        try:
            text: str = self.tokenizer.apply_chat_template(
                list(messages),
                tools=tools,
                tokenize=False,
                add_generation_prompt=prompt,
                chat_template=_timeless(self.tokenizer.get_chat_template(self.template, tools)),
            )
            return text
        except Exception as error:  # whatever a template does with the messages
            held = self.tokenizer.chat_template
            if isinstance(error, ValueError) and isinstance(held, Mapping):
                names = ", ".join(sorted(held))
                raise TemplateRefusal(
                    f"the model has several chat templates; name one by data.template: {names}"
                ) from None
            told = str(error).strip().splitlines() if isinstance(error, TemplateError) else []
            reason = told[0][:200] if told else type(error).__name__
            raise TemplateRefusal(f"the model's chat template refuses it ({reason}); {_remedy(messages)}") from None

    @property
    def has_clock(self) -> bool:
        return "strftime_now" in (self.template or "") + str(self.tokenizer.chat_template)


def renderer(tokenizer: Tokenizer, data: DataSettings) -> Renderer:
    """What renders all samples of a file: the template is read once.

    Raises:
        ConfigError: `data.template` names a file that is no text.
    """
    template = data.template
    if template and Path(template).is_file():
        try:
            template = Path(template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"data.template: {template} cannot be read ({type(error).__name__}).") from None
    return Renderer(tokenizer, template, data.responses == "all")


def render(sample: Sample, apply: Renderer) -> Rendered:
    """Render a sample as a whole.

    The response begins where a stand-in for it does: what the template writes in front (a header, an empty thought) is
    part of the prompt. Where the template writes no end token, the tokenizer's own closes the response.

    Raises:
        TemplateRefusal: the template refuses the conversation or leaves out a part of it.
    """
    eos = apply.tokenizer.eos_token or ""
    if not apply.tokenizer.chat_template and apply.template is None:
        return _without_template(sample, eos)
    messages, tools = [*sample.context, {"role": "assistant", "content": sample.response}], sample.tools
    whole = apply(messages, tools)
    _refuse_what_is_left_out(messages, tools, whole, apply)
    start, tail = _response_place(messages, tools, whole, apply)
    body = whole[start:].rstrip("\n")
    if not tail:
        body += eos
    earlier = _earlier(messages, tools, whole, tail, apply) if apply.every_turn else ()
    return Rendered(whole[:start] + body, start, bool(tail or eos), earlier, _contents(messages, whole))


def _without_template(sample: Sample, eos: str) -> Rendered:
    if sample.tools or any("tool_calls" in message for message in sample.context):
        raise TemplateRefusal("the model has no chat template, which tool calls need; name one by data.template")
    prompt = "".join(_PLAIN.format(role=m["role"].capitalize(), content=m["content"]) for m in sample.context)
    prompt += "### Response:\n"
    return Rendered(prompt + sample.response + eos, len(prompt), bool(eos))


@functools.lru_cache(maxsize=8)
def _timeless(template: str) -> str:
    """The template with a fixed time in the place of now."""
    fixed = _CLOCK.sub(lambda call: json.dumps(_NOW.strftime(call["format"])), template)
    # A format that the template computes is not known here: it gets the same day, in one form.
    return _DAY + fixed if "strftime_now" in fixed else fixed


def _remedy(messages: Sequence[Message]) -> str:
    if messages[0]["role"] == "system":
        return "move the system turn into the first question, or name another template by data.template"
    return "change its turns, or name another template by data.template"


def _refuse_what_is_left_out(messages: Sequence[Message], tools: Any, whole: str, apply: Renderer) -> None:
    for message in messages[:-1]:
        content = message.get("content")
        if message["role"] != "assistant" and isinstance(content, str) and content.strip() not in whole:
            raise TemplateRefusal(
                f"the model's chat template leaves out the turn of role '{message['role']}'; {_remedy(messages)}"
            )
    silent = [{key: value for key, value in message.items() if key != "tool_calls"} for message in messages]
    if silent != messages and apply(silent, tools) == whole:
        raise TemplateRefusal(
            "the model's chat template leaves out the tool call; remove such records, or name another template by "
            "data.template"
        )


def _standing_in(messages: Sequence[Message], number: int) -> list[Message]:
    """The messages with the stand-in for the content of one."""
    return [*messages[:number], {**messages[number], "content": _STAND_IN}, *messages[number + 1 :]]


def _response_place(messages: Sequence[Message], tools: Any, whole: str, apply: Renderer) -> tuple[int, str]:
    """(where the response begins, what the template writes after a response, less line ends)."""
    text = apply(_standing_in(messages, len(messages) - 1), tools)
    place = text.rfind(_STAND_IN)
    if place < 0:
        raise TemplateRefusal("the model's chat template changes the response; name another by data.template")
    tail = text[place + len(_STAND_IN) :].strip("\n")
    if whole.startswith(text[:place]):
        return place, tail
    # The template writes another beginning for this response, which brings a thought of its own: all of it counts.
    prompt = apply(messages[:-1], tools, prompt=True)
    if whole.startswith(prompt):
        return len(prompt), tail
    same = next((n for n, (a, b) in enumerate(zip(text, whole, strict=False)) if a != b), min(len(text), len(whole)))
    return same, tail


def _earlier(
    messages: Sequence[Message], tools: Any, whole: str, tail: str, apply: Renderer
) -> tuple[tuple[int, int], ...]:
    """The spans of the assistant's earlier turns that stand in the text as they were written."""
    spans = []
    for number, message in enumerate(messages[:-1]):
        content = message.get("content")
        if message["role"] != "assistant" or not isinstance(content, str) or not content.strip():
            continue
        place = apply(_standing_in(messages, number), tools).find(_STAND_IN)
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
