"""Rendering conversations with the model's chat template, and locating the responses in the text."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError

from clues.data.layouts.dialects import Message
from clues.data.samples import Sample
from clues.data.templates import Fill, Tokenizer, compiled, is_plain
from clues.data.tokens import Span
from clues.errors import ConfigError
from clues.settings import DataSettings

Render = Callable[..., str]  # a Renderer with the tools filled in
# Some templates write today's date, which would change a sample's tokens from day to day.
_NOW = datetime(2025, 1, 1, tzinfo=UTC)
_CLOCK = re.compile(r"""strftime_now\(\s*(?P<quote>['"])(?P<format>.*?)(?P=quote)\s*\)""")
_DATE_MACRO = "{%- macro strftime_now(format) -%}" + _NOW.strftime("%d %B %Y") + "{%- endmacro -%}"
_PLACEHOLDER = "CLUES-STANDS-IN-HERE"
_PLAIN = "### {role}:\n{content}\n\n"


class TemplateRefusal(ValueError):
    """Why a template cannot render a conversation, and what to do."""


@dataclass(frozen=True)
class Rendered:
    """A conversation's `text` up to the end of the response. Spans are (start, end) in characters.

    `start`: where the response begins. `end`: where its own text ends, before any end token. `ends`: whether an end
    token closes the response. `earlier`: spans of earlier responses, with their end tokens. `contents`: known spans of
    text written by people.
    """

    text: str
    start: int
    end: int
    ends: bool
    earlier: tuple[Span, ...] = ()
    contents: tuple[Span, ...] = ()

    def without_end(self) -> Rendered:
        """The same without what the template writes after the response."""
        return replace(self, text=self.text[: self.end], ends=False)


@dataclass(frozen=True)
class Renderer:
    """A tokenizer and its chat template: a text, the name of one of the tokenizer's, or None for its default."""

    tokenizer: Tokenizer
    template: str | None
    every_turn: bool

    def __call__(self, messages: Sequence[Message], tools: Any, *, prompt: bool = False) -> str:
        """Render messages; with the generation prompt appended if `prompt`.

        Raises:
            TemplateRefusal: the template raises an error of any kind.
        """
        try:
            if tools is None and is_plain(messages) and self._fill:
                return self._fill(messages, prompt)
            rendered: str = self.tokenizer.apply_chat_template(
                list(messages),
                tools=tools,
                tokenize=False,
                add_generation_prompt=prompt,
                chat_template=_with_fixed_date(self.tokenizer.get_chat_template(self.template, tools)),
            )
            return rendered
        except Exception as error:  # a template is code and can raise anything
            templates = self.tokenizer.chat_template
            if isinstance(error, ValueError) and isinstance(templates, Mapping):
                names = ", ".join(sorted(templates))
                raise TemplateRefusal(
                    f"the model has several chat templates; name one by data.template: {names}"
                ) from None
            lines = str(error).strip().splitlines() if isinstance(error, TemplateError) else []
            reason = lines[0][:200] if lines else type(error).__name__
            raise TemplateRefusal(f"the model's chat template refuses it ({reason}); {_remedy(messages)}") from None

    @cached_property
    def _fill(self) -> Fill | None:
        return compiled(self.tokenizer, _with_fixed_date(self.tokenizer.get_chat_template(self.template)))

    @cached_property
    def end(self) -> str:
        """The tokenizer's end token, or nothing."""
        return self.tokenizer.eos_token or ""

    @property
    def has_clock(self) -> bool:
        return "strftime_now" in (self.template or "") + str(self.tokenizer.chat_template)


def renderer(tokenizer: Tokenizer, data: DataSettings) -> Renderer:
    """The renderer for all samples of a file. A template file is read once, here.

    Raises:
        ConfigError: the file that `data.template` names is not text.
    """
    template = data.template
    if template and "{" not in template and Path(template).is_file():  # else it is the text of one
        try:
            template = Path(template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"data.template: {template} cannot be read ({type(error).__name__}).") from None
    return Renderer(tokenizer, template, data.responses == "all")


def render(sample: Sample, apply: Renderer) -> Rendered:
    """Render a sample, prompt and response.

    The response is located by rendering a placeholder, so a header or an empty thought before it belongs to the prompt.
    If the template writes no end token, the tokenizer's is appended.

    Raises:
        TemplateRefusal: the template refuses the conversation or omits a part of it.
    """
    if not apply.tokenizer.chat_template and apply.template is None:
        return _without_template(sample, apply.end)
    messages, tools = [*sample.context, {"role": "assistant", "content": sample.response}], sample.tools
    render_messages = functools.partial(apply, tools=tools)
    text, probe = apply(messages, tools), apply(_with_placeholder(messages, len(messages) - 1), tools)
    _refuse_omissions(messages, text, apply=render_messages)
    start, tail = _locate_response(messages, text, probe=probe, apply=render_messages)
    body = text[start:].rstrip("\n")
    end = start + len(body.removesuffix(tail).rstrip("\n"))
    if not tail:
        body += apply.end
    earlier = _earlier(messages, text, tail=tail, apply=render_messages) if apply.every_turn else ()
    return Rendered(text[:start] + body, start, end, bool(tail or apply.end), earlier, _contents(messages, text))


def _without_template(sample: Sample, eos: str) -> Rendered:
    if sample.tools or any("tool_calls" in message for message in sample.context):
        raise TemplateRefusal("the model has no chat template, which tool calls need; name one by data.template")
    prompt = "".join(_PLAIN.format(role=m["role"].capitalize(), content=m["content"]) for m in sample.context)
    prompt += "### Response:\n"
    text = prompt + sample.response
    return Rendered(text + eos, len(prompt), len(text), bool(eos))


@functools.lru_cache(maxsize=8)
def _with_fixed_date(template: str) -> str:
    """The template with a fixed date instead of the current one."""
    fixed = _CLOCK.sub(lambda call: json.dumps(_NOW.strftime(call["format"])), template)
    # Calls with a format computed by the template get the same date in a fixed form.
    return _DATE_MACRO + fixed if "strftime_now" in fixed else fixed


def _remedy(messages: Sequence[Message]) -> str:
    if messages[0]["role"] == "system":
        return "move the system turn into the first question, or name another template by data.template"
    return "change its turns, or name another template by data.template"


def _refuse_omissions(messages: Sequence[Message], text: str, *, apply: Render) -> None:
    for message in messages[:-1]:
        content = message.get("content")
        if message["role"] != "assistant" and isinstance(content, str) and content.strip() not in text:
            raise TemplateRefusal(
                f"the model's chat template leaves out the turn of role '{message['role']}'; {_remedy(messages)}"
            )
    if not any("tool_calls" in message for message in messages):
        return
    without_calls = [{key: value for key, value in message.items() if key != "tool_calls"} for message in messages]
    if apply(without_calls) == text:
        raise TemplateRefusal(
            "the model's chat template leaves out the tool call; remove such records, or name another template by "
            "data.template"
        )


def _with_placeholder(messages: Sequence[Message], number: int) -> list[Message]:
    """The messages with the content of one replaced by the placeholder."""
    return [*messages[:number], {**messages[number], "content": _PLACEHOLDER}, *messages[number + 1 :]]


def _locate_response(messages: Sequence[Message], text: str, *, probe: str, apply: Render) -> tuple[int, str]:
    """(start of the response, what the template writes after a response without line ends)."""
    place = probe.rfind(_PLACEHOLDER)
    if place < 0:
        raise TemplateRefusal("the model's chat template changes the response; name another by data.template")
    tail = probe[place + len(_PLACEHOLDER) :].strip("\n")
    if text.startswith(probe[:place]):
        return place, tail
    # The template begins this response differently, because it brings a thought of its own: all of it is response.
    prompt = apply(messages[:-1], prompt=True)
    if text.startswith(prompt):
        return len(prompt), tail
    shorter = min(len(probe), len(text))
    return next((n for n, (a, b) in enumerate(zip(probe, text, strict=False)) if a != b), shorter), tail


def _earlier(messages: Sequence[Message], text: str, *, tail: str, apply: Render) -> tuple[Span, ...]:
    """The spans of earlier assistant turns that the template left unchanged."""
    spans = []
    for number, message in enumerate(messages[:-1]):
        content = message.get("content")
        if message["role"] != "assistant" or not isinstance(content, str) or not content.strip():
            continue
        place = apply(_with_placeholder(messages, number)).find(_PLACEHOLDER)
        turn = content.strip()
        if place >= 0 and text.startswith(turn, place):
            end = place + len(turn)
            spans.append((place, end + len(tail) if text.startswith(tail, end) else end))
    return tuple(spans)


def _contents(messages: Sequence[Message], text: str) -> tuple[Span, ...]:
    """The spans of message contents in the text, in order."""
    spans, end = [], 0
    for message in messages:
        content = message.get("content")
        if isinstance(content, str) and content.strip():
            start = text.find(content.strip(), end)
            if start < 0:
                continue
            end = start + len(content.strip())
            spans.append((start, end))
    return tuple(spans)
