"""Hidden states of a decoder: what a model represents a sample by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from clues.errors import ModelError


@contextmanager
def hidden_states(model: Any, layer: int) -> Iterator[list[Tensor]]:
    """Collect the output of one decoder layer of every forward inside the context: each batch × tokens × width.

    Only that layer's output is kept in memory, unlike with `output_hidden_states`.

    Args:
        layer: counted from 0; negative from the end.

    Raises:
        ModelError: the model has no list of layers.
    """
    collected: list[Tensor] = []

    def collect(_: Any, inputs: tuple[Any, ...], output: Any) -> None:
        collected.append((output[0] if isinstance(output, tuple) else output).detach())

    handle = decoder_layers(model)[layer].register_forward_hook(collect)
    try:
        yield collected
    finally:
        handle.remove()


def decoder_layers(model: Any) -> nn.ModuleList:
    """The layers of a decoder, whatever the architecture calls them."""
    count = model.config.get_text_config().num_hidden_layers
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ModelError(f"the model has no list of {count} layers, so that its hidden states cannot be read; use another.")
