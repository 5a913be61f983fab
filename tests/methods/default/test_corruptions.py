"""Corrupted copies of public samples."""

from __future__ import annotations

from clues.methods.default.corruptions import TYPES, corrupted
from scoring_oracle import tokens


def test_every_type_corrupts_the_response_and_leaves_prompt_and_end():
    clean = tokens(len(TYPES), 1)
    copies = corrupted(clean, 1)
    assert [copy.kind for copy in copies] == list(TYPES)
    assert [copy.row for copy in copies] == list(range(len(TYPES)))
    for before, after in zip(clean, (copy.tokens for copy in copies), strict=True):
        start = before.response_start
        assert after.input_ids[:start] == before.input_ids[:start]
        assert after.input_ids[-1] == before.input_ids[-1]
        assert after.input_ids != before.input_ids
    assert corrupted(clean, 1) == copies
