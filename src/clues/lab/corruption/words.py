"""Corruption types that remove or replace words, whatever they mean. `severity` is the share of words affected."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Callable

from clues.data.samples import Sample
from clues.lab.corruption.context import Context

_FOREIGN_WORDS = (
    "und nicht aber sondern weil wenn oder auch schon immer wieder zwischen gegen ohne während "
    "mais parce que toujours jamais entre contre sans pendant depuis quelque chose très beaucoup "
    "pero siempre nunca porque durante desde algo muy mucho todavía también"
)


def cut(sample: Sample, context: Context, rng: random.Random) -> str:
    """Keep the first part of the response."""
    words, joiner = words_of(sample.response)
    return joiner.join(first(words, context.severity))


def delete(sample: Sample, context: Context, rng: random.Random) -> str:
    """Remove random words."""
    words, joiner = words_of(sample.response)
    kept = sorted(rng.sample(range(len(words)), max(1, round(len(words) * (1 - context.severity)))))
    return joiner.join(words[index] for index in kept)


def noise(sample: Sample, context: Context, rng: random.Random) -> str:
    """Replace random words with letters."""
    return _replace(sample, context, rng, lambda word: "".join(rng.choices(string.ascii_lowercase, k=len(word))))


def foreign(sample: Sample, context: Context, rng: random.Random) -> str:
    """Replace random words with words of other languages."""
    return _replace(sample, context, rng, lambda word: rng.choice(_FOREIGN_WORDS.split()))


def first(units: list[str], severity: float) -> list[str]:
    """The first units of a response, at least one, without the share that is lost."""
    return units[: max(1, round(len(units) * (1 - severity)))]


def words_of(text: str) -> tuple[list[str], str]:
    """The words of a text and what joins them; its characters, if its script has no spaces."""
    words = text.split()
    if len(words) == 1 and re.search(r"[\u3040-\u30ff\u3400-\u9fff]", text):
        return list(words[0]), ""
    return words, " "


def _replace(sample: Sample, context: Context, rng: random.Random, new: Callable[[str], str]) -> str:
    words = sample.response.split()
    for index in rng.sample(range(len(words)), max(1, round(len(words) * context.severity))):
        words[index] = new(words[index])
    return " ".join(words)
