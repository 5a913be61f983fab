"""The loss of each sample of a batch: mean negative log-likelihood over its response tokens."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional

from clues.data.batches import IGNORED

# During the forward pass of `response_logits`: the batch row of each position in the output head.
_gathered: ContextVar[Tensor | None] = ContextVar("gathered", default=None)


def gathered_rows() -> Tensor | None:
    """The batch row of each position in the current input of the output head; None if that is whole sequences."""
    return _gathered.get()


def sample_losses(
    model: Any, input_ids: Tensor, attention_mask: Tensor, labels: Tensor, *, reduction: Literal["mean", "sum"] = "mean"
) -> Tensor:
    """The loss of each sample of a batch.

    Args:
        input_ids, attention_mask, labels: batch × tokens, padded on the right; labels −100 outside responses.
        reduction: mean over a sample's response tokens (the paper), or their sum.

    Returns:
        batch, float32, differentiable.
    """
    rows, losses = token_losses(model, input_ids, attention_mask, labels)
    total = torch.zeros(len(labels), device=losses.device).index_add(0, rows, losses)
    if reduction == "sum":
        return total
    return total / torch.bincount(rows, minlength=len(labels)).clamp(min=1)


def token_losses(model: Any, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(row, negative log-likelihood) of each response token of a batch, in reading order."""
    rows, targets, logits = response_logits(model, input_ids, attention_mask, labels)
    return rows, functional.cross_entropy(logits, targets, reduction="none")


def response_logits(
    model: Any, input_ids: Tensor, attention_mask: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """(row, token, logits: tokens × vocabulary, float32) of each response token of a batch, in reading order.

    Logits are computed only where the next token is a response token: hidden states are gathered just before the output
    embedding, so that anything the model does to its logits afterwards still applies.
    """
    targets = labels[:, 1:]
    rows, positions = (targets != IGNORED).nonzero(as_tuple=True)

    def gather(_: Any, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (inputs[0][rows, positions].unsqueeze(0), *inputs[1:])

    handle = model.get_output_embeddings().register_forward_pre_hook(gather)
    token = _gathered.set(rows)
    try:
        logits = model(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
    finally:
        _gathered.reset(token)
        handle.remove()
    return rows, targets[rows, positions], logits.squeeze(0).float()
