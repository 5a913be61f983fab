"""What is computed must be numbers; what is not is refused by the sample's id."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from clues.errors import ScoringError


def check_numbers(columns: Mapping[str, Tensor], id_of: Callable[[int], str]) -> None:
    """Raises ScoringError, with the sample's id, where a column holds something that is no number."""
    for name, values in columns.items():
        wrong = (~torch.isfinite(values)).nonzero()
        if len(wrong):
            row = int(wrong[0, 0])
            raise ScoringError(
                f"sample '{id_of(row)}': its {name} is {float(values[tuple(wrong[0])])}; "
                "use model.dtype float32, or a smaller learning rate."
            )
