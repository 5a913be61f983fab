"""Damaged copies of public samples."""

from __future__ import annotations

from clues.methods.default.corruptions import WAYS, damaged
from scoring_oracle import tokens


def test_every_way_damages_the_response_and_leaves_prompt_and_end():
    clean = tokens(len(WAYS), 1)
    copies = damaged(clean, 1)
    assert list(copies) == list(WAYS)
    made = [copy for name in WAYS for copy in copies[name]]
    for before, after in zip(clean, made, strict=True):
        start = before.response_start
        assert after.input_ids[:start] == before.input_ids[:start]
        assert after.input_ids[-1] == before.input_ids[-1]
        assert after.input_ids != before.input_ids
    assert damaged(clean, 1) == copies
