"""What is done where memory runs out: the same work on halves of a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from clues.data.batches import Batch
from clues.errors import ScoringError

R = TypeVar("R")


def in_halves(work: Callable[[Batch], R], batch: Batch) -> list[R]:
    """What `work` returns of a batch, or of its halves, quarters … in order where it does not fit into memory.

    Args:
        work: leaves nothing behind when it runs out of memory; it is begun again.

    Raises:
        ScoringError: one sample alone does not fit.
    """
    try:
        return [work(batch)]
    except torch.OutOfMemoryError:
        pass  # go on outside of this handler: the traceback holds on to the tensors that must go
    if len(batch.rows) == 1:
        raise ScoringError(
            "one sample alone does not fit into memory; lower data.max_tokens or use model.quantization."
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [result for half in batch.halves() for result in in_halves(work, half)]
