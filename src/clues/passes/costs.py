"""The cost of scoring: seconds, and passes through the model."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from clues.models.base import Base


@dataclass
class Cost:
    """`forward` and `backward` count samples: a batch of eight is eight passes."""

    seconds: float = 0.0
    forward: int = 0
    backward: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.seconds + other.seconds, self.forward + other.forward, self.backward + other.backward)


@contextmanager
def measured(base: Base) -> Iterator[Cost]:
    """The cost of what is done with the base inside the context; complete once it is left.

    Passes are counted at the input embeddings, which each uses once, with or without an adapter. A pass with gradients
    enabled counts as a backward, as scoring enables them for nothing else.
    """
    cost, started = Cost(), time.perf_counter()

    def count(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        cost.forward += len(inputs[0])
        cost.backward += len(inputs[0]) if torch.is_grad_enabled() else 0

    handle = base.model.get_input_embeddings().register_forward_pre_hook(count)
    try:
        yield cost
    finally:
        handle.remove()
        cost.seconds = time.perf_counter() - started
