"""Held-out negative log-likelihood and perplexity per domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from clues.data.batches import Batch, tracked_batches
from clues.data.prompts import Tokens
from clues.errors import ScoringError
from clues.models.base import Base
from clues.models.likelihood import sample_losses
from clues.passes.memory import in_halves


def evaluate(model: Any, base: Base, tokens: Sequence[Tokens], batch_tokens: int, what: str) -> dict[str, Any]:
    """By domain: `nll` (mean over samples of the mean response NLL, nats a token), `perplexity`, `samples`.

    Raises:
        ScoringError: the loss of a test is no number.
    """
    losses = torch.zeros(len(tokens))

    def measure(batch: Batch) -> None:
        moved = batch.to(base.device)
        losses[batch.rows] = sample_losses(model, moved.input_ids, moved.attention_mask, moved.labels).cpu()

    model.eval()
    with torch.no_grad():
        for batch in tracked_batches(tokens, 64, batch_tokens, what):
            in_halves(measure, batch)
    for item, loss in zip(tokens, losses.tolist(), strict=True):
        if not math.isfinite(loss):
            raise ScoringError(f"test '{item.id}': its loss is {loss}; use model.dtype float32.")
    result = {}
    for domain in sorted({t.domain for t in tokens}):
        own = torch.tensor([t.domain == domain for t in tokens])
        nll = float(losses[own].mean())
        perplexity = math.exp(nll) if nll < 700 else math.inf
        result[domain] = {"nll": nll, "perplexity": perplexity, "samples": int(own.sum())}
    return result
