"""Texts are those of transformers, whether it fills the template in or we do."""

from __future__ import annotations

import copy
import re
from types import MethodType

import pytest

from clues.data.rendering import Renderer, TemplateRefusal
from clues.data.templates import compiled, is_plain
from templates import DEFAULT, TEMPLATES

QUESTION, ANSWER = {"role": "user", "content": "what is </s> a bone \n"}, {"role": "assistant", "content": " größe 数"}
CALL = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}]}
RESULT = {"role": "tool", "content": "4", "name": "f", "tool_call_id": "1"}
THOUGHT = {**ANSWER, "reasoning_content": "so it is"}
PLAIN = {
    "pair": [QUESTION, ANSWER],
    "prompt": [QUESTION],
    "system": [{"role": "system", "content": "be <b>brief</b>"}, QUESTION, ANSWER],
    "turns": [QUESTION, ANSWER, QUESTION, ANSWER],
    "result": [QUESTION, RESULT, ANSWER],
}
RICHER = {"call": [QUESTION, CALL, RESULT, ANSWER], "thought": [QUESTION, THOUGHT]}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


def by_transformers(tokenizer, messages, **options):
    """The text, or None where the template raises an error."""
    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, **options)
    except Exception:
        return None


def rendered(renderer, messages, tools=None, *, prompt=False):
    try:
        return renderer(messages, tools, prompt=prompt)
    except TemplateRefusal:
        return None


@pytest.mark.parametrize("prompt", [False, True])
@pytest.mark.parametrize("messages", [*PLAIN, *RICHER])
@pytest.mark.parametrize("name", TEMPLATES)
def test_texts_are_those_of_transformers(base, name, messages, prompt):
    template = re.sub(r"strftime_now\(.*?\)", "'1 May'", TEMPLATES[name])  # two calls would give two times
    conversation, options = {**PLAIN, **RICHER}[messages], {"add_generation_prompt": prompt, "chat_template": template}
    renderer = Renderer(base.tokenizer, template, every_turn=False)
    for tools in (None, TOOLS):
        wanted = by_transformers(base.tokenizer, conversation, tools=tools, **options)
        assert rendered(renderer, conversation, tools, prompt=prompt) == wanted
        assert wanted is not None or name in ("no system", "alternating")


def test_plain_conversations_do_not_go_through_transformers(base, monkeypatch):
    """Or it would take several times as long."""
    tokenizer = copy.deepcopy(base.tokenizer)
    texts = [by_transformers(tokenizer, messages) for messages in PLAIN.values()]
    renderer = Renderer(tokenizer, None, every_turn=False)
    assert renderer(PLAIN["pair"], None) == texts[0]
    monkeypatch.setattr("transformers.utils.chat_template_utils.render_jinja_template", None)
    monkeypatch.setattr("transformers.tokenization_utils_base.render_jinja_template", None)
    assert [renderer(messages, None) for messages in PLAIN.values()] == texts
    with pytest.raises(TemplateRefusal):
        renderer(RICHER["thought"], None)


class Text(str):
    """A text with methods of its own, which no template should reach."""


@pytest.mark.parametrize(
    "messages",
    [
        [],
        RICHER["call"],
        RICHER["thought"],
        [{"role": "user", "content": [{"type": "text", "text": "a"}]}],
        [{"role": "user", "content": Text("a")}],
        [{"role": "assistant", "content": None}],
    ],
)
def test_what_transformers_changes_first_is_left_to_it(messages):
    assert not is_plain(messages)
    assert all(map(is_plain, PLAIN.values()))


def test_a_tokenizer_with_a_method_of_its_own_keeps_it(base):
    tokenizer = copy.deepcopy(base.tokenizer)
    assert compiled(tokenizer, DEFAULT) is not None
    tokenizer.apply_chat_template = MethodType(lambda self, messages, **_: "mine", tokenizer)
    assert compiled(tokenizer, DEFAULT) is None
    assert Renderer(tokenizer, DEFAULT, every_turn=False)(PLAIN["pair"], None) == "mine"


def test_a_transformers_that_compiles_elsewhere_is_asked_itself(base, monkeypatch):
    wanted = by_transformers(base.tokenizer, PLAIN["pair"])
    renderer = Renderer(base.tokenizer, None, every_turn=False)
    monkeypatch.delattr("transformers.utils.chat_template_utils._compile_jinja_template")
    assert compiled(base.tokenizer, DEFAULT) is None
    monkeypatch.undo()
    assert renderer(PLAIN["pair"], None) == wanted
