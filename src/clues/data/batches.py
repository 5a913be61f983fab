"""Batches of token sequences: grouped by length, padded on the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from clues.data.tokens import Joined, Span, Tokens, TokenTable, as_table
from clues.io.indexed import Indexed
from clues.io.progress import track

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
    """Stack sequences. Padding has token id 0, is masked and carries no loss."""
    starts = np.array([each.response_start for each in tokens])
    contents = [(each.input_ids, each.earlier) for each in tokens]
    return _padded(contents, starts, rows=rows or list(range(len(tokens))))


def pad_rows(table: TokenTable | Joined, rows: list[int]) -> Batch:
    """The same of some rows of a table, without building their `Tokens`."""
    return _padded([table.content(row) for row in rows], table.starts[rows], rows=rows)


def _padded(
    contents: Sequence[tuple[Sequence[int] | np.ndarray, tuple[Span, ...]]], starts: np.ndarray, *, rows: list[int]
) -> Batch:
    """Stack (token ids, spans of earlier responses), given where each last response begins."""
    lengths = np.array([len(ids) for ids, _ in contents])
    places = np.arange(lengths.max())
    inside = places < lengths[:, None]
    input_ids = np.zeros(inside.shape, dtype=np.int64)
    input_ids[inside] = np.concatenate([ids for ids, _ in contents])
    labels = np.where(inside & (places >= starts[:, None]), input_ids, IGNORED)
    for row, (_, earlier) in enumerate(contents):
        for start, end in earlier:
            labels[row, start:end] = input_ids[row, start:end]
    return Batch(rows, *(torch.from_numpy(array) for array in (input_ids, inside.astype(np.int64), labels)))


class Plan(Indexed[list[int]]):
    """Which samples make up which batch: grouped by length, longest first, so that memory runs out at once or never.

    A batch holds at most `batch_size` sequences and, unless it is a single one, at most `batch_tokens` padded tokens.
    """

    def __init__(self, table: TokenTable | Joined, *, batch_size: int, batch_tokens: int) -> None:
        lengths = table.lengths
        self._order = np.argsort(-lengths, kind="stable")
        self._starts = [0]
        while (start := self._starts[-1]) < len(lengths):
            longest = max(int(lengths[self._order[start]]), 1)
            self._starts.append(min(len(lengths), start + max(1, min(batch_size, batch_tokens // longest))))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def _item(self, row: int) -> list[int]:
        start, stop = self._starts[row], self._starts[row + 1]
        rows: list[int] = self._order[start:stop].tolist()
        return rows


def batches(
    tokens: Sequence[Tokens], *, batch_size: int, batch_tokens: int, what: str | None = None
) -> Iterator[Batch]:
    """Yield the batches of a `Plan`. If `what` names the work, show its progress."""
    table = as_table(tokens)
    plan = Plan(table, batch_size=batch_size, batch_tokens=batch_tokens)
    for rows in track(plan, what) if what else plan:
        yield pad_rows(table, rows)
