"""Known damage for benchmarks: seeded, done to a known share of clean pairs, with the truth beside it."""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Sequence
from typing import Any

from clues.data.layouts.dialects import DIALECTS, Dialect, detect
from clues.data.layouts.identity import own_id
from clues.data.samples import Sample
from clues.errors import ConfigError, DataError

_FOREIGN_WORDS = (
    "und nicht aber sondern weil wenn oder auch schon immer wieder zwischen gegen ohne während "
    "mais parce que toujours jamais entre contre sans pendant depuis quelque chose très beaucoup "
    "pero siempre nunca porque durante desde algo muy mucho todavía también"
)


def cut(response: str, severity: float, rng: random.Random) -> str:
    """Keep the first part of the response; `severity` is the share of words that is lost."""
    words = response.split()
    return " ".join(words[: max(1, round(len(words) * (1 - severity)))])


def delete(response: str, severity: float, rng: random.Random) -> str:
    """Drop a share of the words at random."""
    words = response.split()
    kept = sorted(rng.sample(range(len(words)), max(1, round(len(words) * (1 - severity)))))
    return " ".join(words[index] for index in kept)


def noise(response: str, severity: float, rng: random.Random) -> str:
    """Replace a share of the words by random characters."""
    return _replace(response, severity, rng, lambda word: "".join(rng.choices(string.ascii_lowercase, k=len(word))))


def foreign(response: str, severity: float, rng: random.Random) -> str:
    """Replace a share of the words by words of other languages."""
    return _replace(response, severity, rng, lambda word: rng.choice(_FOREIGN_WORDS.split()))


def _replace(response: str, severity: float, rng: random.Random, new: Callable[[str], str]) -> str:
    words = response.split()
    for index in rng.sample(range(len(words)), max(1, round(len(words) * severity))):
        words[index] = new(words[index])
    return " ".join(words)


_ALONE: dict[str, Callable[[str, float, random.Random], str]] = {
    "cut": cut,
    "delete": delete,
    "noise": noise,
    "foreign": foreign,
}
KINDS = (*_ALONE, "exchange", "wrong-choice")


def corrupt(
    samples: Sequence[Sample], share: float, kinds: Sequence[str], seed: int, severity: float = 0.5
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Damage `share` of the samples, the kinds in equal parts.

    Returns:
        The records, same order and ids, and their labels: {id, quality: good | low, kind}.

    Raises:
        ConfigError: a kind or number is not known.
        DataError: a sample cannot be damaged in the chosen way (exchange needs two, wrong-choice needs choices).
    """
    check_damage(share, kinds, severity)
    rng = random.Random(seed)
    chosen = rng.sample(range(len(samples)), round(len(samples) * share))
    kind_of = {row: kinds[position % len(kinds)] for position, row in enumerate(chosen)}
    exchanged = [row for row in chosen if kind_of[row] == "exchange"]
    if len(exchanged) == 1:
        # One sample has nobody to exchange with: its fellow is the first that keeps its own response's place.
        other = next((kind for kind in kinds if kind != "exchange"), None)
        if other is None:
            raise DataError("exchange: needs at least two samples to damage; raise --share or add records.")
        kind_of[exchanged.pop()] = other
    fellow = dict(zip(exchanged, exchanged[1:] + exchanged[:1], strict=True))
    records, labels = [], []
    for row, sample in enumerate(samples):
        kind = kind_of.get(row)
        # Samples that had no id of their own keep the one of their clean text, so that labels find them.
        record = {"id": sample.id, **sample.record}
        if own_id(sample.record) is None:
            record["id"] = sample.id  # a field id without a value
        if kind is not None:
            record = _damage(sample, record, kind, severity, rng, samples[fellow[row]] if row in fellow else None)
        records.append(record)
        labels.append({"id": sample.id, "quality": "low" if kind else "good", "kind": kind or ""})
    return records, labels


def _damage(
    sample: Sample,
    record: dict[str, Any],
    kind: str,
    severity: float,
    rng: random.Random,
    fellow: Sample | None,
) -> dict[str, Any]:
    if kind == "wrong-choice":
        return _wrong_choice(sample, record, rng)
    layout = _layout(sample, record)
    text = fellow.response if fellow else _ALONE[kind](sample.response, severity, rng)
    return layout.write(record, text)


def _layout(sample: Sample, record: dict[str, Any]) -> Dialect:
    """The layout that a sample was read by; of one that was made otherwise, the layout of its record."""
    return DIALECTS[sample.dialect] if sample.dialect else detect(record) or DIALECTS["prompt-response"]


def _wrong_choice(sample: Sample, record: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    choices = record.get("choices")
    if not isinstance(choices, list) or "answer" not in record:
        raise DataError(f"{sample.place}: wrong-choice needs the fields 'choices' and 'answer'; use another kind.")
    others = [choice for choice in choices if choice != record["answer"]]
    if not others:
        raise DataError(f"{sample.place}: field 'choices' holds no wrong choice; use another kind.")
    wrong = rng.choice(others)
    layout = _layout(sample, record)
    return {
        **layout.write(record, sample.response.replace(str(record["answer"]), str(wrong))),
        "answer": wrong,
    }


def check_damage(share: float, kinds: Sequence[str], severity: float) -> None:
    """Raises ConfigError where a kind is not known or a number is out of its range."""
    wrong = [f"--kinds {kind}: not known; choose among {', '.join(KINDS)}." for kind in kinds if kind not in KINDS]
    if not kinds:
        wrong.append(f"--kinds: is empty; choose among {', '.join(KINDS)}.")
    if not 0 <= share <= 1:
        wrong.append(f"share of low quality, {share}: must lie between 0 and 1.")
    if not 0 < severity <= 1:
        wrong.append(f"--severity {severity}: must lie above 0 and at most 1.")
    if wrong:
        raise ConfigError("\n".join(wrong))
