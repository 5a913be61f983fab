"""Chat templates with what sets those of models apart."""

from __future__ import annotations

DEFAULT = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
)
TURNS = "{% for m in messages %}<s>{{ m['role'] }}\n{{ m['content'] }}</s>\n{% endfor %}"
HEADER = "{% if add_generation_prompt %}<s>assistant\n{% endif %}"
NO_HEADER = TURNS
NO_END = (
    "{% for m in messages %}{{ m['role'].upper() }}: {{ m['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT: {% endif %}"
)
EMPTY_THOUGHT = (
    "{% for m in messages %}<s>{{ m['role'] }}\n{% if m['role'] == 'assistant' and loop.last "
    "and '<think>' not in m['content'] %}<think>\n\n</think>\n\n{% endif %}{{ m['content'] }}</s>\n{% endfor %}"
    + HEADER
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('No system role') }}{% endif %}" + TURNS + HEADER
)
DROPS_SYSTEM = TURNS.replace("{% for m in messages %}", "{% for m in messages if m['role'] != 'system' %}") + HEADER
CLOCK = "<s>system\n{{ strftime_now('%d %B %Y, %H:%M:%S.%f') }}</s>" + TURNS + HEADER
ALTERNATING = (
    "{% if messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}{% set messages = messages[1:] %}"
    "{% endif %}{% for m in messages %}{% if (m['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m['role'] | upper }}] {{ m['content'] | trim }}"
    "{{ eos_token if m['role'] == 'assistant' }}{% endfor %}"
)
DATED_THOUGHT = (
    "{{ strftime_now('%d %b %Y') }}{% for m in messages %}{% if loop.last and '<think>' not in m.content %}"
    "<think>\n\n</think>\n\n{% endif %}{{ m.role + ': ' + m.content }}\n{% endfor %}{{ tools | tojson if tools }}"
)
# What else templates use: blanks on lines of statements, macros, namespaces, loop controls, and marked answers.
RICH = """\
{%- macro turn(m) -%}
    <|{{ m.role }}{{ ' ' ~ m.name if m.name is defined }}|>{{ m.content | trim | tojson }}
{%- endmacro %}
{{- bos_token }}
{% set last = namespace(user=-1) %}
{% for m in messages %}
    {% if m.role == 'user' %}{% set last.user = loop.index0 %}{% endif %}
{% endfor %}
{% for m in messages %}
    {% if m.role == 'tool' and not tools %}{% continue %}{% endif %}
    {% if m.role == 'assistant' %}{% generation %}{{ turn(m) }}{{ eos_token }}{% endgeneration %}
    {% else %}
{{ turn(m) }}{{ '!' if loop.index0 == last.user }}
    {% endif %}
{% endfor %}
{{ dict(tools=tools, documents=documents is none, thinks=enable_thinking is defined) | tojson(indent=1) }}
{% if add_generation_prompt %}<|assistant|>{% endif %}
"""
TEMPLATES = {
    "default": DEFAULT,
    "no header": NO_HEADER,
    "no end": NO_END,
    "empty thought": EMPTY_THOUGHT,
    "no system": NO_SYSTEM,
    "drops system": DROPS_SYSTEM,
    "clock": CLOCK,
    "alternating": ALTERNATING,
    "dated thought": DATED_THOUGHT,
    "rich": RICH,
}
