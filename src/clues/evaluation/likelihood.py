"""Held-out negative log-likelihood of every test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from clues.data.batches import Batch, batches
from clues.data.tokens import Tokens
from clues.evaluation.figures import Values, by_domain
from clues.models.likelihood import sample_losses
from clues.passes.memory import in_halves
from clues.passes.numbers import check_numbers


def evaluate(model: Any, tokens: Sequence[Tokens], *, batch_tokens: int, what: str) -> Values:
    """`nll`: the mean NLL of each test's response, in nats per token.

    Raises:
        ScoringError: the loss of a test is not a number.
    """
    losses = torch.zeros(len(tokens))

    def measure(batch: Batch) -> None:
        batch = batch.to(model.device)
        losses[batch.rows] = sample_losses(model, batch.input_ids, batch.attention_mask, batch.labels).cpu()

    model.eval()
    with torch.no_grad():
        for batch in batches(tokens, batch_size=64, batch_tokens=batch_tokens, what=what):
            in_halves(measure, batch)
    check_numbers({"loss": losses}, lambda row: tokens[row].id)
    return by_domain((t.domain for t in tokens), {"nll": losses.tolist()})
