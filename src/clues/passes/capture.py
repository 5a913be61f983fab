"""Per-sample gradients of every adapter tensor, captured during an ordinary backward pass.

For y = W x + s·B A x with h = A x and δ = ∂ℓ_i/∂(B h), the gradients of sample i are sums over its tokens,

    ∂ℓ_i/∂B = Σ_t δ_t h_tᵀ          ∂ℓ_i/∂A = Σ_t (Bᵀ δ_t) x_tᵀ          ∂ℓ_i/∂bias = Σ_t δ_t

(LoRA, arXiv 2106.09685; δ includes the scaling s). An activation's shape must therefore tell which sample each token
belongs to. It does where the first dimension is the batch, where tokens are flattened into batch · tokens rows, and in
the output head, which sees the gathered response tokens (`clues.models.likelihood`). Anything else is an error that
names the module.
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
    """The current forward: its batch × tokens, each tensor's uses, and sums of gradients that still lack some use."""

    batch: int = 0
    tokens: int = 0
    uses: dict[str, int] = field(default_factory=dict)
    partial: dict[str, tuple[int, Tensor]] = field(default_factory=dict)


@contextmanager
def capturing(model: Any, modules: Sequence[LoraModule], *, receive: Receiver) -> Iterator[None]:
    """While open, every backward passes each tensor's per-sample gradients to `receive`, once per backward.

    The adapter's weights need no gradient for this; only activations do. Gradients of a module that is used several
    times in one forward are summed over its uses.
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
        handles += _hooks(module, receive, current=current, in_head=id(module.a) in in_head)
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hooks(module: LoraModule, receive: Receiver, *, current: _Pass, in_head: bool) -> list[Any]:
    def add_use(name: str, gradient: Tensor) -> None:
        """Add the gradient of one use; the sum goes to `receive` after the last."""
        if current.uses[name] > 1:
            count, total = current.partial.pop(name, (0, torch.zeros_like(gradient)))
            if count + 1 < current.uses[name]:
                current.partial[name] = (count + 1, total + gradient)
                return
            gradient = total + gradient
        receive(name, gradient)

    def watch(name: str, output: Tensor, *, gradient_of: Callable[[Tensor], Tensor]) -> None:
        inside_backward = torch._C._current_graph_task_id() != -1
        if inside_backward and name in current.uses:
            return  # a checkpointed layer recomputes its activations; the first forward's graph is used
        current.uses[name] = current.uses.get(name, 0) + 1
        output.register_hook(lambda grad: add_use(name, gradient_of(grad)))

    def after_a(_: Any, inputs: tuple[Tensor, ...], h: Tensor) -> None:
        if not torch.is_grad_enabled():
            return
        x, by_sample = inputs[0].detach(), _by_sample(module.name, inputs[0], current=current, in_head=in_head)
        if not h.requires_grad:  # nothing below this module needs a gradient: the backward ends here
            h.requires_grad_()
        watch(f"{module.name}.lora_A.weight", h, gradient_of=lambda grad: _outer(by_sample(grad), by_sample(x)))

    def after_b(_: Any, inputs: tuple[Tensor, ...], y: Tensor) -> None:
        if not torch.is_grad_enabled():
            return
        h, by_sample = inputs[0].detach(), _by_sample(module.name, inputs[0], current=current, in_head=in_head)
        watch(f"{module.name}.lora_B.weight", y, gradient_of=lambda grad: _outer(by_sample(grad), by_sample(h)))
        if module.b.bias is not None:
            watch(f"{module.name}.lora_B.bias", y, gradient_of=lambda grad: by_sample(grad).float().sum(1))

    return [module.a.register_forward_hook(after_a), module.b.register_forward_hook(after_b)]


def _outer(grad: Tensor, activation: Tensor) -> Tensor:
    """Σ_t grad_t activation_tᵀ: (batch × tokens × out, batch × tokens × in) → batch × out × in, in float32."""
    return torch.bmm(grad.float().transpose(1, 2), activation.float())


def _by_sample(name: str, activation: Tensor, *, current: _Pass, in_head: bool) -> Callable[[Tensor], Tensor]:
    """A function that reshapes a tensor laid out like this activation to batch × tokens × width.

    Raises:
        ScoringError: the layout does not tell which sample a token belongs to.
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
    """A function: 1 × positions × width → batch × most positions of a sample × width, padded with zeros.

    Args:
        rows: the sample of every position, in ascending order.
    """
    counts = torch.bincount(rows, minlength=batch)
    place = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[rows]
    width = int(counts.max()) if len(rows) else 0

    def padded(tensor: Tensor) -> Tensor:
        result = tensor.new_zeros(batch, width, tensor.shape[-1])
        result[rows, place] = tensor[0]
        return result

    return padded
