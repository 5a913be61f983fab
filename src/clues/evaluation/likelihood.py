"""Held-out negative log-likelihood and perplexity per domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from clues.data.batches import tracked_batches
from clues.data.prompts import Tokens
from clues.models.base import Base
from clues.models.likelihood import sample_losses


def evaluate(model: Any, base: Base, tokens: Sequence[Tokens], batch_tokens: int, what: str) -> dict[str, Any]:
    """By domain: `nll` (mean over samples of the mean response NLL, nats a token), `perplexity`, `samples`."""
    losses = torch.zeros(len(tokens))
    model.eval()
    with torch.no_grad():
        for batch in tracked_batches(tokens, 64, batch_tokens, what):
            moved = batch.to(base.device)
            losses[batch.rows] = sample_losses(model, moved.input_ids, moved.attention_mask, moved.labels).cpu()
    result = {}
    for domain in sorted({t.domain for t in tokens}):
        nll = float(losses[torch.tensor([t.domain == domain for t in tokens])].mean())
        result[domain] = {"nll": nll, "perplexity": math.exp(nll), "samples": sum(t.domain == domain for t in tokens)}
    return result
