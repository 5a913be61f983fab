"""Whatever a chat template says and a record holds: tokens with the whole response in them, or sentences."""

from __future__ import annotations

import copy
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from mutation import changed_bytes, fuzzed

from clues.data.prompts import tokenize
from clues.data.samples import Sample
from clues.errors import CluesError
from clues.settings import DataSettings

TEMPLATES = [
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}",
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set messages = messages[1:] %}"
    "{% endif %}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m['role'] | upper }}] {{ m['content'] | trim }}"
    "{{ eos_token if m['role'] == 'assistant' }}{% endfor %}",
    "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{% if loop.last and '<think>' not in m.content %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m.role + ': ' + m.content }}\n{% endfor %}{{ tools | tojson if tools }}",
]
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
