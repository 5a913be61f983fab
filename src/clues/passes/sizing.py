"""The size of a batch: from the settings and, on a GPU, from its free memory."""

from __future__ import annotations

import torch

from clues.models.base import Base
from clues.settings import ScoringSettings


def batch_limits(base: Base, settings: ScoringSettings) -> tuple[int, int]:
    """(`batch_size`, `batch_tokens`) of a pass: those of the settings; on a GPU the defaults grow with its free memory.

    A batch that still does not fit is halved (`clues.passes.memory`).
    """
    size, tokens = settings.batch_size, settings.batch_tokens
    default = ScoringSettings()
    if base.device.type != "cuda" or (size, tokens) != (default.batch_size, default.batch_tokens):
        return size, tokens
    free, _ = torch.cuda.mem_get_info(base.device)
    factor = growth(free, tokens=tokens, bytes_per_token=bytes_per_token(base))
    return size * factor, tokens * factor


def growth(free: int, *, tokens: int, bytes_per_token: int) -> int:
    """The largest factor by which a batch may grow and still take at most half of the free memory.

    A power of two, so that small differences in free memory give the same batches.
    """
    factor = 1
    while 2 * factor * tokens * bytes_per_token <= free / 2:
        factor *= 2
    return factor


def bytes_per_token(base: Base) -> int:
    """An estimate of the memory a token takes in a forward and a backward pass.

    Per layer, 34 bytes for each hidden unit in 16 bits (Korthikanti et al., arXiv 2205.05198, §4.1, without the
    attention matrix); and logits with their gradient in float32.
    """
    config = base.model.config.get_text_config()
    size = torch.finfo(base.model.dtype).bits // 8
    per_layer: int = 34 * config.hidden_size * size // 2
    return config.num_hidden_layers * per_layer + 8 * config.vocab_size
