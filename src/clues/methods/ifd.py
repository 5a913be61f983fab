"""Instruction-following difficulty (IFD; Li et al., arXiv 2308.12032): how much the prompt helps the response."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from clues.data.prompts import Tokens
from clues.methods.clues import Remember
from clues.methods.perplexity import base_losses
from clues.models.base import Base
from clues.settings import ScoringSettings


def score(base: Base, samples: Sequence[Tokens], settings: ScoringSettings, remember: Remember) -> Tensor:
    """−L(response | prompt) / L(response alone): samples. Both losses are means over the response's tokens."""
    start = base.tokenizer.bos_token_id
    start = base.tokenizer.eos_token_id if start is None else start
    last = [replace(t, earlier=()) for t in samples]
    alone = [replace(t, input_ids=[start, *t.response], response_start=1) for t in last]
    given = base_losses(base, last, settings, remember)
    return -given / base_losses(base, alone, settings, remember, "base-without-prompts")
