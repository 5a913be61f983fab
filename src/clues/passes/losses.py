"""The mean response loss of every sample, under the base model or with an adapter."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor

from clues.data.batches import Batch
from clues.data.tokens import Tokens
from clues.models.adapters import attached, lora_facts
from clues.models.likelihood import sample_losses
from clues.models.trajectory import Trained
from clues.passes.passes import Columns, Passes


def response_losses(samples: Sequence[Tokens], passes: Passes, *, trained: Trained | None = None) -> Tensor:
    """Mean negative log-likelihood of the response's tokens: samples.

    Args:
        trained: its last checkpoint is attached; by default, the base model is used without any adapter.
    """
    base = passes.base

    def compute(batch: Batch) -> Columns:
        on_device = batch.to(base.device)
        return {"loss": sample_losses(base.model, on_device.input_ids, on_device.attention_mask, on_device.labels)}

    adapter = [lora_facts(trained.lora), trained.checkpoints[-1]] if trained else []
    what = f"losses {'with the adapter' if trained else 'of the base model'}"
    with torch.no_grad(), attached(base, trained.lora, trained.state) if trained else nullcontext():
        if trained:
            base.model.eval()
        return passes.over(samples, compute, inputs=["losses", *adapter], what=what)["loss"]
