"""`clues corrupt`: corrupting a known share of clean samples for benchmarks, with labels; seeded."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clues.data.records.rows import listed
from clues.data.samples import Sample, read_samples
from clues.errors import ConfigError, DataError, OutputError
from clues.io.files import write_jsonl
from clues.lab.corruption.context import Context, Record, layout_of, record_of
from clues.lab.corruption.kinds import KINDS, expanded
from clues.settings import CorruptSettings


@dataclass(frozen=True)
class Corruption:
    """How samples are corrupted: their types in equal parts, and the share of a response that is affected.

    `kinds`: names of types; `natural` stands for all natural ones. Types that replace a response ignore `severity`.
    """

    kinds: Sequence[str]
    severity: float = 0.5

    def check(self, share: float) -> None:
        """Raises ConfigError if a corruption type is unknown or a number out of range."""
        known = ", ".join([*KINDS, "natural"])
        wrong = [
            f"--kinds {kind}: not known; choose among {known}." for kind in expanded(self.kinds) if kind not in KINDS
        ]
        if not self.kinds:
            wrong.append(f"--kinds: is empty; choose among {known}.")
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

    A type that does not apply to a sample, or leaves it as it is, gives way to the next one in the list.

    Returns:
        The records, in the same order and with the same ids, and their labels: {id, quality: good | low, kind}.

    Raises:
        ConfigError: a corruption type is unknown or a number out of range.
        DataError: no type applies to a sample; lists all of them.
    """
    corruption.check(share)
    kinds, rng = expanded(corruption.kinds), random.Random(seed)
    low = rng.sample(range(len(samples)), round(len(samples) * share))
    first = {row: position % len(kinds) for position, row in enumerate(low)}
    exchanged = [row for row in low if kinds[first[row]] == "exchange"]
    if len(exchanged) == 1 and set(kinds) != {"exchange"}:  # alone, it would repeat the response of another sample
        first[exchanged.pop()] = next(place for place, kind in enumerate(kinds) if kind != "exchange")
    pairs = zip(exchanged, exchanged[1:] + exchanged[:1], strict=True)
    partners = {samples[row].id: samples[other] for row, other in pairs if row != other}
    context = Context(samples, corruption.severity, frozenset(samples[row].id for row in low), partners)
    records, labels, problems = [], [], []
    for row, sample in enumerate(samples):
        record, kind = record_of(sample), ""
        if row in first:
            order = kinds[first[row] :] + kinds[: first[row]]
            record, kind = _corrupted(sample, order, context=context, rng=rng)
            if not kind:
                needs = "; ".join(f"{name} needs {KINDS[name].needs}" for name in dict.fromkeys(kinds))
                problems.append(f"{sample.place}: {needs}; use another kind.")
        records.append(record)
        labels.append({"id": sample.id, "quality": "low" if kind else "good", "kind": kind})
    if problems:
        raise DataError(listed(problems))
    return records, labels


def _corrupted(sample: Sample, kinds: Sequence[str], *, context: Context, rng: random.Random) -> tuple[Record, str]:
    """The record corrupted by the first type that changes it, and that type; unchanged, and "" if none does."""
    for kind in kinds:
        made = KINDS[kind].corrupt(sample, context, rng)
        if isinstance(made, dict):
            return made, kind
        if made and made.split() not in ([], sample.response.split()):
            return layout_of(sample).write(record_of(sample), made), kind
    return record_of(sample), ""
