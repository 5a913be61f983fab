"""Exact per-sample adapter gradients out of one batched backward, and their inner products with directions.

For y = W x + s·B A x with h = A x and δ = ∂ℓ_i/∂(B h), the gradients of sample i are sums over its tokens,

    ∂ℓ_i/∂B = Σ_t δ_t h_tᵀ          ∂ℓ_i/∂A = Σ_t (Bᵀ δ_t) x_tᵀ

(LoRA, arXiv 2106.09685; the scaling s is inside δ). Both are small, r × in and out × r, so each module's are
formed by one batched product, contracted at once and dropped: nothing per-sample outlives its module, and
any number of directions costs about the same as one. Samples of a batch do not touch each other, so the
gradient of the summed losses gives every sample its own δ; padded tokens have δ = 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from clues.data.batches import Batch
from clues.models.adapters import LoraModule
from clues.models.likelihood import sample_losses

# What receives a module's per-sample gradients: (tensor name, batch × parameter shape).
Receiver = Callable[[str, Tensor], None]
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


def tensor_names(modules: list[LoraModule]) -> list[str]:
    return [f"{module.name}.{part}.weight" for module in modules for part in ("lora_A", "lora_B")]


@contextmanager
def capturing(modules: list[LoraModule], receive: Receiver) -> Iterator[None]:
    """While open, every backward hands each module's per-sample gradients to `receive`.

    The adapter's own weights need no gradient for this; only activations do.
    """
    handles = []
    for module in modules:
        handles += _hook(module, receive)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(module: LoraModule, receive: Receiver) -> list[Any]:
    def after_a(_: Any, inputs: tuple[Tensor, ...], h: Tensor) -> None:
        x = inputs[0].detach()
        if not h.requires_grad:  # nothing below this module needs a gradient: the backward starts here
            h.requires_grad_()
        h.register_hook(lambda grad: receive(f"{module.name}.lora_A.weight", _outer(grad, x)))

    def after_b(_: Any, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        h = inputs[0].detach()
        y.register_hook(lambda grad: receive(f"{module.name}.lora_B.weight", _outer(grad, h)))

    return [module.a.register_forward_hook(after_a), module.b.register_forward_hook(after_b)]


def _outer(grad: Tensor, activation: Tensor) -> Tensor:
    """Σ_t grad_t activation_tᵀ: (batch × tokens × out, batch × tokens × in) → batch × out × in, in float32."""
    return torch.bmm(grad.float().transpose(1, 2), activation.float())


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
) -> None:
    """Add Σ_i weights[i, d] · g_i of a batch to direction d.

    Args:
        weights: batch × directions.
        into: by tensor name, directions × parameter shape; changed in place.
    """

    def receive(name: str, gradient: Tensor) -> None:
        gradient = transform(name, gradient) if transform else gradient
        into[name].add_(torch.einsum("bd,b...->d...", weights, gradient))

    sample_gradients(model, modules, batch, receive, reduction)


def zero_directions(modules: list[LoraModule], count: int) -> dict[str, Tensor]:
    """`count` zero vectors over the parameters of the modules, by tensor name."""
    shapes = [weight.shape for module in modules for weight in (module.a.weight, module.b.weight)]
    device = modules[0].a.weight.device
    return {
        name: torch.zeros(count, *shape, device=device)
        for name, shape in zip(tensor_names(modules), shapes, strict=True)
    }


def sample_gradients(
    model: Any,
    modules: list[LoraModule],
    batch: Batch,
    receive: Receiver,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """Hand every module's per-sample gradients of a batch to `receive`, once each; returns the losses: samples."""
    with torch.enable_grad(), capturing(modules, receive):
        losses = sample_losses(model, batch.input_ids, batch.attention_mask, batch.labels, reduction)
        losses.sum().backward()
    return losses.detach()
