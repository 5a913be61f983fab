"""Whatever a chat template says and a record holds: tokens with the whole response in them, or sentences."""

from __future__ import annotations

import copy
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from mutation import changed_bytes, fuzzed

from clues.data.prompts import tokenize
from clues.data.rendering import Renderer, TemplateRefusal
from clues.data.samples import Sample
from clues.errors import CluesError
from clues.settings import DataSettings
from templates import ALTERNATING, DATED_THOUGHT, DEFAULT, RICH

TEMPLATES = [DEFAULT, ALTERNATING, DATED_THOUGHT]
SAMPLES = [
    Sample("a", [{"role": "user", "content": "what is a bone"}], "a heart", "d", {}, "f, line 1"),
    Sample(
        "b",
        [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "what is </s>"},
            {"role": "assistant", "content": "the nerve", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            {"role": "tool", "content": "x"},
        ],
        "<think>a bone</think> the rate",
        "d",
        {},
        "f, line 2",
        [{"type": "function", "function": {"name": "f"}}],
    ),
]


@fuzzed
@given(template=changed_bytes([text.encode() for text in TEMPLATES]), which=st.sampled_from(["last", "all"]))
def test_any_template(base, template, which):
    tokenizer = copy.copy(base.tokenizer)
    tokenizer.chat_template = template.decode(errors="replace")
    for sample in SAMPLES:
        try:
            (row,) = tokenize([sample], replace(base, tokenizer=tokenizer), DataSettings(responses=which))
        except CluesError as error:
            assert str(error).startswith(sample.place)
            continue
        assert sample.response in tokenizer.decode(row.response)
        assert all(0 < start < end <= row.response_start for start, end in row.earlier)


@fuzzed
@given(template=changed_bytes([text.encode() for text in (DEFAULT, ALTERNATING, RICH)]), prompt=st.booleans())
def test_any_template_gives_the_text_of_transformers(base, template, prompt):
    text = template.decode(errors="replace")
    messages = [*SAMPLES[1].context[:2], {"role": "assistant", "content": SAMPLES[1].response}]
    try:
        wanted = base.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=prompt, chat_template=text
        )
    except Exception:
        wanted = None
    try:
        found = Renderer(base.tokenizer, text, every_turn=False)(messages, None, prompt=prompt)
    except TemplateRefusal:
        found = None
    assert found == wanted


@fuzzed
@given(
    texts=st.lists(st.text(min_size=1, max_size=40).filter(str.strip), min_size=2, max_size=6),
    limit=st.integers(8, 80),
    template=st.sampled_from([*TEMPLATES[:1], None]),
)
def test_any_text(base, texts, limit, template):
    tokenizer = copy.copy(base.tokenizer)
    tokenizer.chat_template = template
    *turns, response = texts
    roles = ["user", "assistant"] * len(turns)
    context = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
    sample = Sample("x", context, response, "d", {}, "f, line 1")
    try:
        (row,) = tokenize([sample], replace(base, tokenizer=tokenizer), DataSettings(max_tokens=limit))
    except CluesError:
        return
    assert 0 < len(row.input_ids) <= limit
    assert 0 < row.response_start < len(row.input_ids)
    if not row.truncated:
        assert len(tokenizer(response, add_special_tokens=False).input_ids) <= len(row.response) + 1
