"""Restoring a base model after adapters and trainers have used it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def restored(model: Any, weights: bool = False) -> Iterator[None]:
    """Restore a model's modules, modes, flags, hooks and configuration at the end of the context.

    PEFT's `unload` does not undo saved heads, embeddings, and initialisations that change the base.

    Args:
        weights: whether the weights may change, so that they are copied; this doubles the memory of the model.
    """
    tree = [(parent, name, child) for parent in model.modules() for name, child in parent._modules.items()]
    modes = [(module, module.training) for module in model.modules()]
    hooks = [
        (registry, dict(registry)) for m in model.modules() for registry in (m._forward_hooks, m._forward_pre_hooks)
    ]
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    copies = [(tensor, tensor.data.clone()) for tensor in [*model.parameters(), *model.buffers()]] if weights else []
    attributes = set(vars(model))
    settings = dict(vars(model.config))
    try:
        yield
    finally:
        for parent, name, child in tree:
            parent._modules[name] = child
        for module, mode in modes:
            module.training = mode
        for registry, before in hooks:
            registry.clear()
            registry.update(before)
        for tensor, data in copies:
            tensor.data = data
        for parameter, flag in flags:
            parameter.requires_grad_(flag)
            parameter.grad = None
        for name in set(vars(model)) - attributes:
            delattr(model, name)
        vars(model.config).update(settings)
