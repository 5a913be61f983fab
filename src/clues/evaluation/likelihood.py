"""Held-out negative log-likelihood and perplexity per domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from clues.data.batches import Batch, batches
from clues.data.tokens import Tokens
from clues.errors import ScoringError
from clues.models.likelihood import sample_losses
from clues.passes.memory import in_halves


def evaluate(model: Any, tokens: Sequence[Tokens], *, batch_tokens: int, what: str) -> dict[str, Any]:
    """By domain: `nll` (mean over samples of the mean response NLL, nats per token), `perplexity`, `samples`.

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
    for item, loss in zip(tokens, losses.tolist(), strict=True):
        if not math.isfinite(loss):
            raise ScoringError(f"test '{item.id}': its loss is {loss}; use model.dtype float32.")
    result = {}
    for domain in sorted({t.domain for t in tokens}):
        in_domain = torch.tensor([t.domain == domain for t in tokens])
        nll = float(losses[in_domain].mean())
        perplexity = math.exp(nll) if nll < 700 else math.inf
        result[domain] = {"nll": nll, "perplexity": perplexity, "samples": int(in_domain.sum())}
    return result
