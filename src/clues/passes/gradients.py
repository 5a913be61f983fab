"""Inner products of exact per-sample adapter gradients with directions, from one batched backward.

A module's gradients are small, r × in and out × r, so one batched product forms them (`clues.passes.capture`); they
are contracted at once and dropped. No per-sample gradient outlives its module, and any number of directions costs
about the same as one. Samples of a batch are independent, so the backward of the summed losses yields each sample's own
gradient; padding has none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from clues.data.batches import Batch, pad
from clues.data.tokens import Tokens
from clues.models.adapters import Lora, LoraModule, attached, lora_modules
from clues.models.base import Base
from clues.models.likelihood import sample_losses
from clues.passes.capture import Receiver, capturing

# A linear or non-linear map of per-sample gradients, by tensor name (a preconditioner).
Transform = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True)
class Gradients:
    """Per-sample gradients of some modules of a model with an adapter, mapped by `transform` where there is one.

    `reduction`: a sample's loss is the mean over its response tokens, or their sum.
    """

    model: Any
    modules: list[LoraModule]
    transform: Transform | None = None
    reduction: Literal["mean", "sum"] = "mean"

    @property
    def names(self) -> list[str]:
        """The names of the adapter's tensors."""
        return [name for module in self.modules for name in module.tensors]

    @property
    def device(self) -> torch.device:
        return torch.device(self.modules[0].a.weight.device)

    def receive(self, batch: Batch, receiver: Receiver) -> Tensor:
        """Pass every tensor's per-sample gradients of a batch to `receiver`, once each; returns the losses: samples."""
        transform = self.transform

        def mapped(name: str, gradient: Tensor) -> None:
            receiver(name, transform(name, gradient) if transform else gradient)

        with torch.enable_grad(), capturing(self.model, self.modules, receive=mapped):
            losses = sample_losses(
                self.model, batch.input_ids, batch.attention_mask, batch.labels, reduction=self.reduction
            )
            losses.sum().backward()
        return losses.detach()


@dataclass
class Products:
    """Inner products of per-sample gradients with directions.

    `dot`: samples × directions; `squared_norm`: samples; `loss`: samples; `parts`: each adapter part's contribution to
    the product with the first direction, by name: samples.
    """

    dot: Tensor
    squared_norm: Tensor
    loss: Tensor
    parts: dict[str, Tensor]


def batch_products(
    gradients: Gradients, batch: Batch, *, directions: Mapping[str, Tensor], part_of: Mapping[str, str] | None = None
) -> Products:
    """⟨g_i, V_d⟩, ‖g_i‖² and ℓ_i of every sample of a batch.

    Args:
        directions: by tensor name, directions × parameter shape.
        part_of: the adapter part of each tensor, by tensor name, where parts are wanted.
    """
    size = len(batch.rows)
    count = len(next(iter(directions.values())))
    dot = torch.zeros(size, count, device=batch.input_ids.device)
    squared_norm = torch.zeros(size, device=batch.input_ids.device)
    parts = {part: torch.zeros_like(squared_norm) for part in (part_of or {}).values()}

    def receive(name: str, gradient: Tensor) -> None:
        flat = gradient.flatten(1)
        products = flat @ directions[name].flatten(1).T
        dot.add_(products)
        if part_of:
            parts[part_of[name]].add_(products[:, 0])
        squared_norm.add_(flat.square().sum(1))

    loss = gradients.receive(batch, receive)
    return Products(dot, squared_norm, loss, parts)


def add_gradients(gradients: Gradients, batch: Batch, *, weights: Tensor, into: Mapping[str, Tensor]) -> Tensor:
    """Add Σ_i weights[i, d] · g_i of a batch to each direction d; returns the losses: samples.

    Args:
        weights: batch × directions.
        into: by tensor name, directions × parameter shape; changed in place.
    """

    def receive(name: str, gradient: Tensor) -> None:
        into[name].add_(torch.einsum("bd,b...->d...", weights, gradient))

    return gradients.receive(batch, receive)


def zero_directions(modules: list[LoraModule], count: int) -> dict[str, Tensor]:
    """`count` zero vectors over the parameters of the modules, by tensor name."""
    device = modules[0].a.weight.device
    return {
        name: torch.zeros(count, *tensor.shape, device=device)
        for module in modules
        for name, tensor in module.tensors.items()
    }


def check_modules(base: Base, lora: Lora, *, pattern: str) -> None:
    """Attach the adapter to the base and capture the gradients of two short sequences, before any long work.

    Raises:
        ConfigError, ModelError: the adapter does not fit, or it trains a module that cannot be scored.
        ScoringError: the layout of a module's input does not tell which sample a token belongs to.
    """
    probe = pad([Tokens("probe", "", [0, 1, 2], 1, False), Tokens("probe", "", [0, 1], 1, False)])
    with attached(base, lora) as model:
        modules = lora_modules(model, pattern)
        model.eval().requires_grad_(False)
        Gradients(model, modules).receive(probe.to(base.device), lambda *_: None)
