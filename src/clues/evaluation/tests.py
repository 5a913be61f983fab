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
class Tests:
    base: Base
    samples: Sequence[Sample]
    tokens: TokenTable

    @classmethod
    def of(cls, base: Base, samples: Sequence[Sample], data: DataSettings) -> Tests:
        return cls(base, samples, tokenize(samples, base, data))
