"""Mutated inputs: bytes and texts that were valid once, and JSON values of any kind.

FUZZ=25000 pytest tests/fuzz     # examples a test; 300 in the suite
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("FUZZ", "300"))
T = TypeVar("T")


def fuzzed(test: Callable[..., None]) -> Callable[..., None]:
    """Run with `EXAMPLES` examples, the same ones every time; an example may take two seconds, as a hang takes more."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]
    return settings(
        max_examples=EXAMPLES, deadline=2000, derandomize=True, database=None, suppress_health_check=checks
    )(test)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=10**300, max_value=10**320),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(
        ["", " ", "\x00", "\ud800", "</s>", "<s>", "[/x]", "{{ x }}", "\u2028", "nan", "assistant", "user"]
    ),
)
_TURNS = ["messages", "role", "content", "from", "value", "conversations", "tools", "tool_calls", "history", "system"]
_PAIRS = ["prompt", "response", "completion", "instruction", "input", "output", "question", "answer", "context"]
KEYS = st.one_of(st.text(max_size=6), st.sampled_from([*_TURNS, *_PAIRS, "id", "domain", "text", "clues"]))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=5)),
    max_leaves=12,
)


@st.composite
def changed_bytes(draw: Any, seeds: list[bytes]) -> bytes:
    """One of the seeds with a few places cut, doubled, overwritten or swapped."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(content)))
        stop = min(len(content), start + draw(st.integers(0, 20)))
        what = draw(st.sampled_from(["cut", "double", "write", "insert"]))
        if what == "cut":
            del content[start:stop]
        elif what == "double":
            content[stop:stop] = content[start:stop]
        else:
            new = draw(st.one_of(st.binary(max_size=8), st.sampled_from(_TOKENS)))
            content[start : stop if what == "write" else start] = new
    return bytes(content)


_TOKENS = [
    *[token.encode() for token in ['"', "'", ",", ";", "\t", "\n", "\r\n", "{", "}", "[", "]", "null", "NaN", "1e999"]],
    *[b"\xff\xfe", b"\xef\xbb\xbf", b"\x00", b"\x1f\x8b", b"\\ud800", b"{%", b"%}", b"{{", b"}}", b"[" * 3000],
]


@st.composite
def changed_record(draw: Any, seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """One of the records with fields removed, replaced by values of any kind, or added; at any depth."""
    record = _copied(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 4))):
        node: Any = record
        while isinstance(node, dict | list) and node and draw(st.booleans()):
            child = node[
                draw(st.sampled_from(sorted(node)) if isinstance(node, dict) else st.integers(0, len(node) - 1))
            ]
            if not isinstance(child, dict | list):
                break
            node = child
        if isinstance(node, dict):
            key = draw(st.one_of(KEYS, st.sampled_from(sorted(node)))) if node else draw(KEYS)
            if draw(st.integers(0, 2)):
                node[key] = draw(VALUES)
            else:
                node.pop(key, None)
        elif isinstance(node, list):
            node.insert(draw(st.integers(0, len(node))), draw(VALUES))
    return record


def _copied(value: T) -> T:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}  # type: ignore[return-value]
    return [_copied(item) for item in value] if isinstance(value, list) else value  # type: ignore[return-value]
