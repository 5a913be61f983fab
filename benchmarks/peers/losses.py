"""The loss that a user of a library writes for it: the sum of the samples' mean losses over their responses."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional

from clues.models.likelihood import sample_losses

Batch = dict[str, Tensor]  # input_ids, attention_mask, labels: batch × tokens


def all_logits(model: Any, batch: Batch) -> Tensor:
    """As usually written. A sum over the batch, since samples of a batch then keep their own gradients."""
    logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    targets = batch["labels"][:, 1:]
    losses = functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="none")
    return (losses.view_as(targets).sum(1) / (targets != -100).sum(1)).sum()


def response_logits(model: Any, batch: Batch) -> Tensor:
    """Our own loss, with logits of the response alone: shows what a library costs apart from that saving."""
    return sample_losses(model, batch["input_ids"], batch["attention_mask"], batch["labels"]).sum()
