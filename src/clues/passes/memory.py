"""Where memory runs out, the same work is done on halves of the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch

from clues.data.batches import Batch
from clues.errors import ScoringError

R = TypeVar("R")


def in_halves(work: Callable[[Batch], R], batch: Batch) -> list[R]:
    """What `work` returns for a batch or, where that does not fit into memory, for its halves, quarters … in order.

    Args:
        work: must have no side effects when it runs out of memory, as it is started again.

    Raises:
        ScoringError: one sample alone does not fit.
    """
    try:
        return [work(batch)]
    except torch.OutOfMemoryError:
        pass  # continue outside this handler: the traceback keeps the tensors alive
    if len(batch.rows) == 1:
        raise ScoringError(
            "one sample alone does not fit into memory; lower data.max_tokens or use model.quantization."
        )
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return [result for half in batch.halves() for result in in_halves(work, half)]
