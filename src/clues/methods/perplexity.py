"""Perplexity of the response under the base model; quality = −PPL. The usual filter of pre-training corpora."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clues.data.batches import Batch
from clues.data.tokens import Tokens
from clues.methods.interface import Job, Scores
from clues.models.likelihood import sample_losses
from clues.models.trajectory import Trained
from clues.passes.passes import Columns, Passes


def base_losses(samples: Sequence[Tokens], passes: Passes) -> Tensor:
    """Mean response loss under the base model, without any adapter: samples."""
    base = passes.base

    def compute(batch: Batch) -> Columns:
        on_device = batch.to(base.device)
        return {"loss": sample_losses(base.model, on_device.input_ids, on_device.attention_mask, on_device.labels)}

    with torch.no_grad():
        return passes.over(samples, compute, inputs="losses of the base model", what="losses of the base model")["loss"]


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """−exp(mean NLL of the response given the prompt)."""
    return Scores(score=-base_losses(job.scored, passes).exp())
