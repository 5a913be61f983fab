"""Computed values must be finite; an error names the sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from clues.errors import ScoringError


def check_numbers(columns: Mapping[str, Tensor], id_of: Callable[[int], str]) -> None:
    """Raises ScoringError, with the sample's id, where a column holds a value that is not finite."""
    for name, values in columns.items():
        positions = (~torch.isfinite(values)).nonzero()
        if len(positions):
            row = int(positions[0, 0])
            raise ScoringError(
                f"sample '{id_of(row)}': its {name} is {float(values[tuple(positions[0])])}; "
                "use model.dtype float32, or a smaller learning rate."
            )
