"""`clues corrupt`: corrupting a known share of clean samples for benchmarks, with labels; seeded."""

from __future__ import annotations

import random
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clues.data.layouts.dialects import DIALECTS, Dialect, detect
from clues.data.layouts.identity import own_id
from clues.data.samples import Sample, read_samples
from clues.errors import ConfigError, DataError, OutputError
from clues.io.files import write_jsonl
from clues.settings import CorruptSettings

_FOREIGN_WORDS = (
    "und nicht aber sondern weil wenn oder auch schon immer wieder zwischen gegen ohne während "
    "mais parce que toujours jamais entre contre sans pendant depuis quelque chose très beaucoup "
    "pero siempre nunca porque durante desde algo muy mucho todavía también"
)


@dataclass(frozen=True)
class Corruption:
    """How samples are corrupted: their types in equal parts, and the share of a response that is affected."""

    kinds: Sequence[str]
    severity: float = 0.5

    def check(self, share: float) -> None:
        """Raises ConfigError if a corruption type is unknown or a number out of range."""
        wrong = [
            f"--kinds {kind}: not known; choose among {', '.join(KINDS)}." for kind in self.kinds if kind not in KINDS
        ]
        if not self.kinds:
            wrong.append(f"--kinds: is empty; choose among {', '.join(KINDS)}.")
        if not 0 <= share <= 1:
            wrong.append(f"share of low quality, {share}: must lie between 0 and 1.")
        if not 0 < self.severity <= 1:
            wrong.append(f"--severity {self.severity}: must lie above 0 and at most 1.")
        if wrong:
            raise ConfigError("\n".join(wrong))


def corrupt_file(settings: CorruptSettings, out: Path) -> dict[str, int]:
    """Write the mixed records to `out` and their labels next to it; return the number of samples by corruption type.

    Raises:
        OutputError: one of the two files exists.
    """
    labels_file = out.with_name(f"{out.stem}.labels.jsonl")
    for path in (out, labels_file):
        if path.exists():
            raise OutputError(f"{path}: exists already; choose another --out or remove it.")
    samples = read_samples(settings.samples, settings.data)
    corruption = Corruption(settings.kinds, settings.severity)
    records, labels = corrupt(samples, corruption, share=settings.share, seed=settings.seed)
    write_jsonl(labels_file, labels)
    write_jsonl(out, records)
    return dict(Counter(label["kind"] or "good" for label in labels))


def corrupt(
    samples: Sequence[Sample], corruption: Corruption, *, share: float, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Corrupt a random `share` of the samples, with each type in equal parts.

    Returns:
        The records, in the same order and with the same ids, and their labels: {id, quality: good | low, kind}.

    Raises:
        ConfigError: a corruption type is unknown or a number out of range.
        DataError: a type does not apply to a sample (exchange needs two, wrong-choice needs choices).
    """
    corruption.check(share)
    kinds, rng = corruption.kinds, random.Random(seed)
    low = rng.sample(range(len(samples)), round(len(samples) * share))
    kind_of = {row: kinds[position % len(kinds)] for position, row in enumerate(low)}
    exchanged = [row for row in low if kind_of[row] == "exchange"]
    if len(exchanged) == 1:  # a single sample has no partner: use another type
        other = next((kind for kind in kinds if kind != "exchange"), None)
        if other is None:
            raise DataError("exchange: needs at least two samples to corrupt; raise --share or add records.")
        kind_of[exchanged.pop()] = other
    partner = dict(zip(exchanged, exchanged[1:] + exchanged[:1], strict=True))
    records, labels = [], []
    for row, sample in enumerate(samples):
        kind = kind_of.get(row)
        record = _with_id(sample)
        if kind == "wrong-choice":
            record = _wrong_choice(sample, record, rng=rng)
        elif kind == "exchange":
            record = _layout(sample, record).write(record, samples[partner[row]].response)
        elif kind is not None:
            text = _REWRITES[kind](sample.response, corruption.severity, rng)
            record = _layout(sample, record).write(record, text)
        records.append(record)
        labels.append({"id": sample.id, "quality": "low" if kind else "good", "kind": kind or ""})
    return records, labels


def _with_id(sample: Sample) -> dict[str, Any]:
    """The record of a sample. Without an id, it gets that of its clean text, so that labels match."""
    record = {"id": sample.id, **sample.record}
    if own_id(sample.record) is None:
        record["id"] = sample.id  # replaces an empty id
    return record


def _cut(response: str, severity: float, rng: random.Random) -> str:
    """Keep the first part of the response; `severity` is the share of words removed."""
    words = response.split()
    return " ".join(words[: max(1, round(len(words) * (1 - severity)))])


def _delete(response: str, severity: float, rng: random.Random) -> str:
    """Remove a random share of the words."""
    words = response.split()
    kept = sorted(rng.sample(range(len(words)), max(1, round(len(words) * (1 - severity)))))
    return " ".join(words[index] for index in kept)


def _noise(response: str, severity: float, rng: random.Random) -> str:
    """Replace a share of the words by random letters."""
    return _replace(response, severity, lambda word: "".join(rng.choices(string.ascii_lowercase, k=len(word))), rng)


def _foreign(response: str, severity: float, rng: random.Random) -> str:
    """Replace a share of the words by words of other languages."""
    return _replace(response, severity, lambda word: rng.choice(_FOREIGN_WORDS.split()), rng)


def _replace(response: str, severity: float, new: Callable[[str], str], rng: random.Random) -> str:
    words = response.split()
    for index in rng.sample(range(len(words)), max(1, round(len(words) * severity))):
        words[index] = new(words[index])
    return " ".join(words)


_REWRITES: dict[str, Callable[[str, float, random.Random], str]] = {
    "cut": _cut,
    "delete": _delete,
    "noise": _noise,
    "foreign": _foreign,
}
KINDS = (*_REWRITES, "exchange", "wrong-choice")


def _layout(sample: Sample, record: dict[str, Any]) -> Dialect:
    """The layout a sample was read with, or else the layout of its record."""
    return DIALECTS[sample.dialect] if sample.dialect else detect(record) or DIALECTS["prompt-response"]


def _wrong_choice(sample: Sample, record: dict[str, Any], *, rng: random.Random) -> dict[str, Any]:
    choices = record.get("choices")
    if not isinstance(choices, list) or "answer" not in record:
        raise DataError(f"{sample.place}: wrong-choice needs the fields 'choices' and 'answer'; use another kind.")
    others = [choice for choice in choices if choice != record["answer"]]
    if not others:
        raise DataError(f"{sample.place}: field 'choices' contains no wrong choice; use another kind.")
    wrong = rng.choice(others)
    response = sample.response.replace(str(record["answer"]), str(wrong))
    return {**_layout(sample, record).write(record, response), "answer": wrong}
