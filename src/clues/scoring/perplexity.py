"""Perplexity of the response under the base model; quality = −PPL. The usual filter of pre-training corpora."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clues.config import ScoringSettings
from clues.data.batches import tracked_batches
from clues.data.prompts import Tokens
from clues.models.base import Base
from clues.models.likelihood import sample_losses


def base_losses(base: Base, samples: Sequence[Tokens], settings: ScoringSettings, what: str) -> Tensor:
    """Mean response loss under the base model, without any adapter: samples."""
    losses = torch.zeros(len(samples))
    with torch.no_grad():
        for batch in tracked_batches(samples, settings.batch_size, settings.batch_tokens, what):
            moved = batch.to(base.device)
            losses[batch.rows] = sample_losses(base.model, moved.input_ids, moved.attention_mask, moved.labels).cpu()
    return losses


def score(base: Base, samples: Sequence[Tokens], settings: ScoringSettings) -> Tensor:
    """−exp(mean NLL of the response given the prompt): samples."""
    return -base_losses(base, samples, settings, "perplexity").exp()
