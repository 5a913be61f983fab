"""Per-sample gradients of every tensor of an adapter, caught while an ordinary backward goes by.

For y = W x + s·B A x with h = A x and δ = ∂ℓ_i/∂(B h), the gradients of sample i are sums over its tokens,

    ∂ℓ_i/∂B = Σ_t δ_t h_tᵀ          ∂ℓ_i/∂A = Σ_t (Bᵀ δ_t) x_tᵀ          ∂ℓ_i/∂bias = Σ_t δ_t

(LoRA, arXiv 2106.09685; the scaling s is inside δ). So every activation must say which sample each of its tokens
belongs to. It does where its first dimension is the batch; where tokens are flattened into batch · tokens rows; and in
the output head, which sees the gathered response tokens (`clues.models.likelihood`). Anything else is refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from clues.errors import ScoringError
from clues.models.adapters import LoraModule
from clues.models.likelihood import gathered_rows

# What receives a module's per-sample gradients: (tensor name, batch × parameter shape).
Receiver = Callable[[str, Tensor], None]


@dataclass
class _Pass:
    """The forward under way: its batch × tokens, how often each tensor was used in it, and what is not yet whole."""

    batch: int = 0
    tokens: int = 0
    uses: dict[str, int] = field(default_factory=dict)
    partial: dict[str, tuple[int, Tensor]] = field(default_factory=dict)


@contextmanager
def capturing(model: Any, modules: Sequence[LoraModule], receive: Receiver) -> Iterator[None]:
    """While open, every backward hands each tensor's per-sample gradients to `receive`, once a backward.

    The adapter's own weights need no gradient for this; only activations do. A module that is used several times in
    one forward has the sum over its uses.
    """
    current = _Pass()

    def begin(_: Any, inputs: tuple[Tensor, ...]) -> None:
        current.batch, current.tokens = inputs[0].shape
        current.uses.clear()
        current.partial.clear()

    head = model.get_output_embeddings()
    in_head = {id(part) for part in head.modules()} if head is not None else set()
    handles = [model.get_input_embeddings().register_forward_pre_hook(begin)]
    for module in modules:
        handles += _hooks(module, receive, current, id(module.a) in in_head)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooks(module: LoraModule, receive: Receiver, current: _Pass, in_head: bool) -> list[Any]:
    def whole(name: str, gradient: Tensor) -> None:
        """Hand over what all uses in one forward add up to."""
        if current.uses[name] > 1:
            count, total = current.partial.pop(name, (0, torch.zeros_like(gradient)))
            if count + 1 < current.uses[name]:
                current.partial[name] = (count + 1, total + gradient)
                return
            gradient = total + gradient
        receive(name, gradient)

    def watch(name: str, output: Tensor, gradient_of: Callable[[Tensor], Tensor]) -> None:
        inside_backward = torch._C._current_graph_task_id() != -1
        if inside_backward and name in current.uses:
            return  # a checkpointed layer computes its activations again; the first forward's graph is used
        current.uses[name] = current.uses.get(name, 0) + 1
        output.register_hook(lambda grad: whole(name, gradient_of(grad)))

    def after_a(_: Any, inputs: tuple[Tensor, ...], h: Tensor) -> None:
        if not torch.is_grad_enabled():
            return
        x, places = inputs[0].detach(), _places(module.name, inputs[0], current, in_head)
        if not h.requires_grad:  # nothing below this module needs a gradient: the backward starts here
            h.requires_grad_()
        watch(f"{module.name}.lora_A.weight", h, lambda grad: _outer(places(grad), places(x)))

    def after_b(_: Any, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        if not torch.is_grad_enabled():
            return
        h, places = inputs[0].detach(), _places(module.name, inputs[0], current, in_head)
        watch(f"{module.name}.lora_B.weight", y, lambda grad: _outer(places(grad), places(h)))
        if module.b.bias is not None:
            watch(f"{module.name}.lora_B.bias", y, lambda grad: places(grad).float().sum(1))

    return [module.a.register_forward_hook(after_a), module.b.register_forward_hook(after_b)]


def _outer(grad: Tensor, activation: Tensor) -> Tensor:
    """Σ_t grad_t activation_tᵀ: (batch × tokens × out, batch × tokens × in) → batch × out × in, in float32."""
    return torch.bmm(grad.float().transpose(1, 2), activation.float())


def _places(name: str, activation: Tensor, current: _Pass, in_head: bool) -> Callable[[Tensor], Tensor]:
    """What brings a tensor laid out like this activation to batch × tokens × width.

    Raises:
        ScoringError: which sample a token belongs to cannot be told.
    """
    rows = gathered_rows() if in_head else None
    leading = tuple(activation.shape[:-1])
    if rows is not None and leading == (1, len(rows)):
        return _gathered(rows, current.batch)
    if len(leading) >= 2 and leading[0] == current.batch:
        return lambda tensor: tensor.reshape(current.batch, -1, tensor.shape[-1])
    if leading == (current.batch * current.tokens,):
        return lambda tensor: tensor.reshape(current.batch, current.tokens, tensor.shape[-1])
    raise ScoringError(
        f"lora.target_modules: '{name}' sees tokens as {' × '.join(map(str, leading)) or 'one row'}, of a batch of "
        f"{current.batch} × {current.tokens}, so that they cannot be told apart by sample; leave that module out."
    )


def _gathered(rows: Tensor, batch: int) -> Callable[[Tensor], Tensor]:
    """1 × positions × width → batch × most positions of a sample × width, the rest filled with zeros.

    Args:
        rows: of every position its sample, in ascending order.
    """
    counts = torch.bincount(rows, minlength=batch)
    place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    width = int(counts.max()) if len(rows) else 0

    def padded(tensor: Tensor) -> Tensor:
        result = tensor.new_zeros(batch, width, tensor.shape[-1])
        result[rows, place] = tensor[0]
        return result

    return padded
