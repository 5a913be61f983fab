"""Learned merge weights: the outer problem of CLUES' bi-level view, its adaptive weights (arXiv 2507.03004).

min over w on the simplex of the mean loss of public samples at ΔW(w) = c · Σ_k w_k · s B_k A_k, with adapters and base
fixed, c = `merging.scale` and w = softmax(θ). ΔW is linear in w: concatenated, the adapters are one of rank K·r, and w
scales the outputs of its A, column by column.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from clues.data.batches import Batch, batches
from clues.data.tokens import Tokens
from clues.errors import ProtocolError
from clues.io.progress import say, track
from clues.merging.merging import Adapter, merge_adapters
from clues.models.adapters import attached, lora_modules
from clues.models.base import Base
from clues.models.likelihood import sample_losses
from clues.settings import MergingSettings


def learn_weights(
    base: Base,
    adapters: Sequence[Adapter],
    *,
    tokens: Sequence[Tokens],
    settings: MergingSettings,
    batch_tokens: int = 1024,
) -> list[float]:
    """Learn the adapters' weights, which sum to 1, with Adam from equal weights; return those of the lowest loss.

    Each step uses the gradient over all samples, so the result is deterministic, and its loss never exceeds that of
    equal weights. The loss is always that of the exact merge, whatever `merging.method` is.

    Args:
        adapters: K adapters of any ranks.
        tokens: public samples, equally weighted.
        settings: uses `weight_steps`, `weight_learning_rate` and `scale`.

    Raises:
        ProtocolError: the loss is not a number.
    """
    count = len(adapters)
    theta = torch.zeros(count, device=base.device, requires_grad=True)
    optimizer = torch.optim.Adam([theta], lr=settings.weight_learning_rate)
    lowest, best = math.inf, theta.detach().clone()
    first = math.inf
    with _concatenated(base, adapters, scale=settings.scale) as model:
        columns = _columns(model, adapters)
        plan = [*batches(tokens, batch_size=16, batch_tokens=batch_tokens)]
        for step in track(range(settings.weight_steps + 1), "learning merge weights"):
            optimizer.zero_grad()
            loss = _add_gradient(model, theta, plan=plan, columns=columns)
            if not math.isfinite(loss):
                raise ProtocolError(
                    f"merging.weights: the loss is {loss}; lower merging.weight_learning_rate or scale."
                )
            first = loss if step == 0 else first
            if loss < lowest:
                lowest, best = loss, theta.detach().clone()
            optimizer.step()
    weights: list[float] = best.double().softmax(0).tolist()
    say(f"Merge weights {', '.join(f'{w:.3f}' for w in weights)}: public loss {lowest:.4f}, equal ones {first:.4f}.")
    return weights


@contextmanager
def _concatenated(base: Base, adapters: Sequence[Adapter], *, scale: float) -> Iterator[Any]:
    """The base with c · Σ_k s B_k A_k attached as one adapter of the summed ranks."""
    count = len(adapters)
    total = MergingSettings(method="exact", scale=count * scale)
    state, config = merge_adapters(base, adapters, weights=[1.0] * count, settings=total, seed=0)
    with attached(base, config, state) as model:
        model.eval().requires_grad_(False)
        yield model


def _columns(model: Any, adapters: Sequence[Adapter]) -> dict[str, Tensor]:
    """By module name, the adapter that each output column of A comes from: rank."""
    columns = {}
    for module in lora_modules(model):
        tensors = [state.get(f"{module.name}.lora_A.weight") for state, _ in adapters]
        ranks = torch.tensor([0 if tensor is None else len(tensor) for tensor in tensors])
        columns[module.name] = torch.arange(len(adapters)).repeat_interleave(ranks).to(module.a.weight.device)
    return columns


def _add_gradient(model: Any, theta: Tensor, *, plan: Sequence[Batch], columns: Mapping[str, Tensor]) -> float:
    """Return the mean loss at softmax(θ), and add its gradient to θ's."""
    total, count = 0.0, sum(len(batch.rows) for batch in plan)
    for batch in plan:
        batch = batch.to(theta.device)
        with _scaled(model, theta.softmax(0), columns=columns):
            losses = sample_losses(model, batch.input_ids, batch.attention_mask, batch.labels)
        loss = losses.sum() / count
        loss.backward()
        total += float(loss.detach())
    return total


@contextmanager
def _scaled(model: Any, weights: Tensor, *, columns: Mapping[str, Tensor]) -> Iterator[None]:
    """Multiply each output column of A by the weight of the adapter that it comes from."""

    def scale(name: str, _: Any, __: Any, output: Tensor) -> Tensor:
        return output * weights[columns[name]].to(output.dtype)

    handles = [module.a.register_forward_hook(functools.partial(scale, module.name)) for module in lora_modules(model)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
