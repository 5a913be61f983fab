"""Held-out tests, as samples and as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clues.data.prompts import tokenize
from clues.data.samples import Sample
from clues.data.tokens import TokenTable
from clues.models.base import Base
from clues.settings import DataSettings


@dataclass(frozen=True)
class HeldOut:
    """Test samples, and the same ones tokenized for a base model."""

    base: Base
    samples: Sequence[Sample]
    tokens: TokenTable

    @classmethod
    def of(cls, base: Base, samples: Sequence[Sample], data: DataSettings) -> HeldOut:
        return cls(base, samples, tokenize(samples, base, data))
