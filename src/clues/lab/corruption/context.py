"""What a corruption type may know besides the sample: the set it comes from, and how strong to be."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from clues.data.layouts.dialects import DIALECTS, Dialect, detect
from clues.data.layouts.identity import own_id
from clues.data.samples import Sample
from clues.lab.corruption.entities import Names
from clues.lab.corruption.language import language_of

Record = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """The samples of a set, and the share of a response to corrupt.

    `low`: the ids of all samples to corrupt. `partners`: by id, the sample whose response an exchange takes.
    """

    samples: Sequence[Sample]
    severity: float = 0.5
    low: frozenset[str] = frozenset()
    partners: Mapping[str, Sample] = field(default_factory=dict)

    @cached_property
    def names(self) -> Names:
        """What each prompt is about."""
        return Names([prompt_of(sample) for sample in self.samples])

    @cached_property
    def languages(self) -> dict[str, str]:
        """The language of each sample by id, "" if it is not clear."""
        return {sample.id: language_of(f"{prompt_of(sample)} {sample.response}") for sample in self.samples}

    @cached_property
    def frequency(self) -> Counter[str]:
        """How often each known language occurs in the set."""
        return Counter(language for language in self.languages.values() if language)

    def language(self, sample: Sample) -> str:
        """The language of a sample, or if that is not clear, the most frequent one of the set."""
        return self.languages[sample.id] or next((name for name, _ in self.frequency.most_common(1)), "en")

    def others(self, sample: Sample, rng: random.Random) -> Iterator[Sample]:
        """The samples with another response, in random order, drawn one at a time (Fisher and Yates)."""
        moved: dict[int, int] = {}
        for last in range(len(self.samples) - 1, -1, -1):
            drawn = rng.randint(0, last)
            other = self.samples[moved.get(drawn, drawn)]
            moved[drawn] = moved.get(last, last)
            if other.response != sample.response:
                yield other


# (sample, context, rng) → another response, or another record; None if the type does not apply to the sample.
Corrupt = Callable[[Sample, Context, random.Random], "str | Record | None"]


def prompt_of(sample: Sample) -> str:
    """The last turn before the response."""
    return str(sample.context[-1]["content"]) if sample.context else ""


def record_of(sample: Sample) -> Record:
    """The record of a sample. Without an id, it gets that of its clean text, so that labels match."""
    record = {"id": sample.id, **sample.record}
    if own_id(sample.record) is None:
        record["id"] = sample.id  # replaces an empty id
    return record


def layout_of(sample: Sample) -> Dialect:
    """The layout a sample was read with, or else the layout of its record."""
    return DIALECTS[sample.dialect] if sample.dialect else detect(sample.record) or DIALECTS["prompt-response"]
