"""Perplexity of the response under the base model; quality = −PPL. The usual filter of pre-training corpora."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clues.data.batches import Batch
from clues.data.prompts import Tokens
from clues.methods.clues import Columns, Remember, remembered_batches
from clues.models.base import Base
from clues.models.likelihood import sample_losses
from clues.settings import ScoringSettings


def base_losses(
    base: Base, samples: Sequence[Tokens], settings: ScoringSettings, remember: Remember, shard: str = "base"
) -> Tensor:
    """Mean response loss under the base model, without any adapter: samples.

    Args:
        remember: keeps every batch's losses in `shard`, for methods that need the same, and if the pass is cut off.
    """

    def compute(batch: Batch) -> Columns:
        moved = batch.to(base.device)
        losses = sample_losses(base.model, moved.input_ids, moved.attention_mask, moved.labels)
        return {"row": torch.tensor(batch.rows), "loss": losses.cpu()}

    losses = torch.zeros(len(samples))
    with torch.no_grad():
        for found in remembered_batches(remember, shard, compute, samples, settings, "losses of the base model"):
            losses[found["row"]] = found["loss"]
    return losses


def score(base: Base, samples: Sequence[Tokens], settings: ScoringSettings, remember: Remember) -> Tensor:
    """−exp(mean NLL of the response given the prompt): samples."""
    return -base_losses(base, samples, settings, remember).exp()
