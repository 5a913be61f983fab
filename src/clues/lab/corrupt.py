"""`clues corrupt`: damage a known share of a clean file, with the truth beside it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from clues.data.samples import read_samples
from clues.errors import OutputError
from clues.io.files import write_jsonl
from clues.lab.corruption import corrupt
from clues.settings import CorruptSettings


def labels_path(out: Path) -> Path:
    return out.with_name(f"{out.stem}.labels.jsonl")


def corrupt_file(settings: CorruptSettings, out: Path) -> dict[str, int]:
    """Write the damaged records to `out` and their labels beside it; returns how many there are of each kind.

    Raises:
        OutputError: one of the two files exists already.
    """
    for path in (out, labels_path(out)):
        if path.exists():
            raise OutputError(f"{path}: exists already; choose another --out or remove it.")
    samples = read_samples(settings.samples, settings.data)
    records, labels = corrupt(samples, settings.share, settings.kinds, settings.seed, settings.severity)
    write_jsonl(labels_path(out), labels)
    write_jsonl(out, records)
    return dict(Counter(label["kind"] or "good" for label in labels))
