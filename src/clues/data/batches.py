"""Batches of token sequences: grouped by length, padded on the right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from clues.data.prompts import Tokens
from clues.io.processes import spread
from clues.io.progress import track

R = TypeVar("R")

IGNORED = -100  # the label transformers leaves out of a loss


@dataclass(frozen=True)
class Batch:
    """`input_ids`, `attention_mask`, `labels`: batch × tokens. `rows`: positions in the input sequence."""

    rows: list[int]
    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        return Batch(self.rows, self.input_ids.to(device), self.attention_mask.to(device), self.labels.to(device))

    def halves(self) -> list[Batch]:
        middle = len(self.rows) // 2
        tensors = (self.input_ids, self.attention_mask, self.labels)
        return [Batch(self.rows[part], *[t[part] for t in tensors]) for part in (slice(0, middle), slice(middle, None))]


def pad(tokens: Sequence[Tokens], rows: list[int] | None = None) -> Batch:
    """Stack sequences. The padding token's id is 0: it is masked, carries no loss and no sample sees it."""
    width = max(len(t.input_ids) for t in tokens)
    input_ids = torch.zeros(len(tokens), width, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED)
    for row, item in enumerate(tokens):
        length = len(item.input_ids)
        input_ids[row, :length] = torch.tensor(item.input_ids)
        attention_mask[row, :length] = 1
        for start, end in (*item.earlier, (item.response_start, length)):
            labels[row, start:end] = input_ids[row, start:end]
    return Batch(rows or list(range(len(tokens))), input_ids, attention_mask, labels)


def batches(tokens: Sequence[Tokens], batch_size: int, batch_tokens: int) -> Iterator[Batch]:
    """Yield batches of similar lengths, longest first: at most `batch_size` sequences and, where more than
    one, at most `batch_tokens` tokens with padding. Longest first, so that memory runs out at once or never."""
    order = sorted(range(len(tokens)), key=lambda row: -len(tokens[row].input_ids))
    start = 0
    while start < len(order):
        longest = len(tokens[order[start]].input_ids)
        size = max(1, min(batch_size, batch_tokens // longest))
        rows = order[start : start + size]
        yield pad([tokens[row] for row in rows], rows)
        start += size


def tracked_batches(tokens: Sequence[Tokens], batch_size: int, batch_tokens: int, what: str) -> Iterator[Batch]:
    """`batches`, showing how many are done."""
    return track(batches(tokens, batch_size, batch_tokens), what, batch_count(tokens, batch_size, batch_tokens))


def spread_batches(
    tokens: Sequence[Tokens], batch_size: int, batch_tokens: int, what: str, compute: Callable[[Batch], R]
) -> Iterator[R]:
    """`compute` of every batch; several processes share the batches, and each gets all results."""
    count = batch_count(tokens, batch_size, batch_tokens)
    return spread(batches(tokens, batch_size, batch_tokens), compute, what, count)


def batch_count(tokens: Sequence[Tokens], batch_size: int, batch_tokens: int) -> int:
    lengths = sorted((len(t.input_ids) for t in tokens), reverse=True)
    count, start = 0, 0
    while start < len(lengths):
        start += max(1, min(batch_size, batch_tokens // lengths[start]))
        count += 1
    return count
