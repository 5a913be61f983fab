"""Batches are the same from tokens and from the rows of a table."""

from __future__ import annotations

import torch

from clues.data.batches import IGNORED, Batch, batches, pad, pad_rows
from clues.data.tokens import Joined, Picked, Tokens, TokenTable

ROWS = [
    Tokens("a", "d", [7, 8, 9], 1, False),
    Tokens("b", "e", [1, 2, 3, 4, 5, 6], 4, False, earlier=((1, 2), (3, 4))),
    Tokens("c", "d", [3, 4], 1, True, prompt=[3, 5, 6, 4]),
    Tokens("d", "d", [5, 6, 0, 6], 3, False),
]


def lists(batch: Batch) -> list[list[list[int]]]:
    return [part.tolist() for part in (batch.input_ids, batch.attention_mask, batch.labels)]


def test_sequences_are_padded_on_the_right_and_only_responses_carry_loss():
    batch, no = pad(ROWS[:2]), IGNORED
    assert lists(batch) == [
        [[7, 8, 9, 0, 0, 0], [1, 2, 3, 4, 5, 6]],
        [[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]],
        [[no, 8, 9, no, no, no], [no, 2, no, 4, 5, 6]],
    ]
    assert {part.dtype for part in (batch.input_ids, batch.attention_mask, batch.labels)} == {torch.int64}
    assert batch.rows == [0, 1]


def test_rows_of_tables_make_the_batches_of_their_tokens():
    table, rows = TokenTable(ROWS), [3, 1, 2, 0]
    for samples in (table, Joined(ROWS[:1], TokenTable(ROWS[1:]))):
        batch = pad_rows(samples, rows)
        assert batch.rows == rows
        assert lists(batch) == lists(pad([ROWS[row] for row in rows]))
    (picked,) = batches(Picked(table, [1, 3]), batch_size=2, batch_tokens=100)
    assert lists(picked) == lists(pad([ROWS[1], ROWS[3]]))
