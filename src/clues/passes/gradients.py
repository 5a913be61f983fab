"""Inner products of exact per-sample adapter gradients with directions, out of one batched backward.

A module's gradients are small, r × in and out × r, so each module's are formed by one batched product
(`clues.passes.capture`), contracted at once and dropped: nothing per-sample outlives its module, and any number of
directions costs about the same as one. Samples of a batch do not touch each other, so the gradient of the summed
losses gives every sample its own; padded tokens have none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from clues.data.batches import Batch, pad
from clues.data.prompts import Tokens
from clues.models.adapters import LoraModule, attached, lora_modules
from clues.models.base import Base
from clues.models.likelihood import sample_losses
from clues.passes.capture import Receiver, capturing

# A linear or non-linear map of per-sample gradients, by tensor name (a preconditioner).
Transform = Callable[[str, Tensor], Tensor]


@dataclass
class Products:
    """Inner products of per-sample gradients with directions.

    `dot`: samples × directions; `squared_norm`: samples; `loss`: samples; `parts`: by name, samples: what a part of
    the adapter contributes to the product with the first direction.
    """

    dot: Tensor
    squared_norm: Tensor
    loss: Tensor
    parts: dict[str, Tensor]


def tensor_names(modules: Sequence[LoraModule]) -> list[str]:
    return [name for module in modules for name in module.tensors]


def batch_products(
    model: Any,
    modules: list[LoraModule],
    batch: Batch,
    directions: Mapping[str, Tensor],
    transform: Transform | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    part_of: Mapping[str, str] | None = None,
) -> Products:
    """⟨g_i, V_d⟩, ‖g_i‖² and ℓ_i of every sample of a batch, with g_i transformed first where asked.

    Args:
        directions: by tensor name, directions × parameter shape.
        part_of: the part that each tensor belongs to, by tensor name, where parts are wanted.
    """
    size = len(batch.rows)
    count = len(next(iter(directions.values())))
    dot = torch.zeros(size, count, device=batch.input_ids.device)
    squared_norm = torch.zeros(size, device=batch.input_ids.device)
    parts = {part: torch.zeros_like(squared_norm) for part in (part_of or {}).values()}

    def receive(name: str, gradient: Tensor) -> None:
        gradient = transform(name, gradient) if transform else gradient
        flat = gradient.flatten(1)
        products = flat @ directions[name].flatten(1).T
        dot.add_(products)
        if part_of:
            parts[part_of[name]].add_(products[:, 0])
        squared_norm.add_(flat.square().sum(1))

    loss = sample_gradients(model, modules, batch, receive, reduction)
    return Products(dot, squared_norm, loss, parts)


def add_gradients(
    model: Any,
    modules: list[LoraModule],
    batch: Batch,
    weights: Tensor,
    into: Mapping[str, Tensor],
    transform: Transform | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Add Σ_i weights[i, d] · g_i of a batch to direction d; returns the losses: samples.

    Args:
        weights: batch × directions.
        into: by tensor name, directions × parameter shape; changed in place.
    """

    def receive(name: str, gradient: Tensor) -> None:
        gradient = transform(name, gradient) if transform else gradient
        into[name].add_(torch.einsum("bd,b...->d...", weights, gradient))

    return sample_gradients(model, modules, batch, receive, reduction)


def zero_directions(modules: list[LoraModule], count: int) -> dict[str, Tensor]:
    """`count` zero vectors over the parameters of the modules, by tensor name."""
    device = modules[0].a.weight.device
    return {
        name: torch.zeros(count, *tensor.shape, device=device)
        for module in modules
        for name, tensor in module.tensors.items()
    }


def sample_gradients(
    model: Any,
    modules: list[LoraModule],
    batch: Batch,
    receive: Receiver,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Hand every module's per-sample gradients of a batch to `receive`, once each; returns the losses: samples."""
    with torch.enable_grad(), capturing(model, modules, receive):
        losses = sample_losses(model, batch.input_ids, batch.attention_mask, batch.labels, reduction)
        losses.sum().backward()
    return losses.detach()


def check_modules(base: Base, config: Any, pattern: str) -> None:
    """Try an adapter on the base, and catch the gradients of two short sequences, before anything heavy.

    Raises:
        ConfigError, ModelError: the adapter does not fit, or something that it trains cannot be scored.
        ScoringError: a module sees tokens that cannot be told apart by sample.
    """
    probe = pad([Tokens("probe", "", [0, 1, 2], 1, False), Tokens("probe", "", [0, 1], 1, False)])
    with attached(base, config) as model:
        modules = lora_modules(model, pattern)
        model.eval().requires_grad_(False)
        sample_gradients(model, modules, probe.to(base.device), lambda *_: None)
