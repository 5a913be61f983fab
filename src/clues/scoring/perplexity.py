"""Perplexity of the response under the base model; quality = −PPL. The usual filter of pre-training corpora."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clues.config import ScoringSettings
from clues.data.batches import Batch, spread_batches
from clues.data.prompts import Tokens
from clues.models.base import Base
from clues.models.likelihood import sample_losses


def base_losses(base: Base, samples: Sequence[Tokens], settings: ScoringSettings, what: str) -> Tensor:
    """Mean response loss under the base model, without any adapter: samples."""

    def compute(batch: Batch) -> tuple[list[int], Tensor]:
        moved = batch.to(base.device)
        return batch.rows, sample_losses(base.model, moved.input_ids, moved.attention_mask, moved.labels).cpu()

    losses = torch.zeros(len(samples))
    with torch.no_grad():
        for rows, found in spread_batches(samples, settings.batch_size, settings.batch_tokens, what, compute):
            losses[rows] = found
    return losses


def score(base: Base, samples: Sequence[Tokens], settings: ScoringSettings) -> Tensor:
    """−exp(mean NLL of the response given the prompt): samples."""
    return -base_losses(base, samples, settings, "perplexity").exp()
