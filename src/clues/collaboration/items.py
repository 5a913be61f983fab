"""What a message holds, item by item, as the records of both sides take it down."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from clues.collaboration.ledger import Items


def items_of(facts: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Items:
    """Every item of a message: facts as JSON, arrays as their bytes. Both sides of any engine get the same."""
    items: dict[str, tuple[Any, bytes | memoryview]] = {
        f"facts.{name}": ([1], json.dumps(value, sort_keys=True).encode()) for name, value in facts.items()
    }
    for name, tensor in arrays.items():
        content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        items[f"arrays.{name}"] = (list(tensor.shape), content.data)
    return items
