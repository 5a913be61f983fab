"""Contributions of the adapter's parts: inner products are sums over modules, and so over layers."""

from __future__ import annotations

import re
from typing import Literal

from clues.models.adapters import LoraModule


def part_names(modules: list[LoraModule], by: Literal["none", "layer", "module"]) -> dict[str, str]:
    """The part that each adapter tensor contributes to, by tensor name; empty where no parts are wanted.

    A layer is the first number in a module's name; a module outside the layers is a part of its own.
    """
    if by == "none":
        return {}
    return {name: _part(module.name, by) for module in modules for name in module.tensors}


def _part(module: str, by: Literal["layer", "module"]) -> str:
    layer = re.search(r"\.(\d+)\.", module)
    if by == "layer" and layer:
        return f"layer {layer[1]}"
    return f"module {module.removeprefix('base_model.model.')}"
