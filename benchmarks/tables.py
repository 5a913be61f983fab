"""Tables in Markdown out of what was measured. Times only as ratios to others of the same alternation."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch
from workers import Record

TOLERANCE = 1e-5


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def ratio(values: Sequence[float], floor: Sequence[float]) -> str:
    ratios = [one / base for one, base in zip(values, floor, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def difference(found: torch.Tensor, known: torch.Tensor) -> float:
    """Largest difference relative to the largest product, over the directions that both have."""
    both = min(found.shape[1], known.shape[1])
    found, known = found[:, :both], known[:, :both]
    return float((found - known).abs().max() / known.abs().max())


def agreement(found: torch.Tensor, known: torch.Tensor) -> str:
    if not found.numel():
        return ""
    size = difference(found, known)
    return f"{size:.1e}" if size <= TOLERANCE else f"{size:.1e}: not the same quantity"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.1f}" if size < 1e7 else f"{size / 1e6:.0f}"


def comparison(names: Sequence[str], records: Sequence[Record], floor: Record, known: Record) -> None:
    """`known`: whose scores the others are held against. Start-up alone is in seconds."""
    rows = []
    for name, record in zip(names, records, strict=True):
        if record.error:
            rows.append([name, f"could not run: {record.error}", *[""] * 5])
            continue
        collecting = statistics.median(c / s for c, s in zip(record.collecting, record.seconds, strict=True))
        rows.append(
            [
                name,
                ratio(record.seconds, floor.seconds),
                agreement(record.scores, known.scores),
                megabytes(record.peak) if record.peak else "not measured",
                megabytes(record.disk),
                f"{record.startup:.0f}",
                f"{collecting:.0%}" if collecting >= 0.005 else "",
            ]
        )
    head = ["way", "ratio to forward only (median; least–most)", "largest relative difference from ours"]
    head += ["peak memory, MB", "written to disk, MB"]
    table([*head, "start-up, s", "of the time in Python's garbage collector"], rows)


def growth(axis: str, values: Sequence[int], ways: Sequence[str], records: Sequence[Sequence[Record]]) -> None:
    """`records`: by value, then by way, the first two ways being the floor and ours."""
    head = [axis]
    for way in ways[1:]:
        head += [f"{way}, to forward only", f"{way}, to the first row", "peak memory, MB", "on disk, MB"]
    head += ["largest relative difference"]
    rows = []
    for value, (floor, *others) in zip(values, records, strict=True):
        row = [str(value)]
        for number, record in enumerate(others, start=1):
            first = records[0][number]
            if record.error or floor.error or first.error:
                row += [f"could not run: {record.error or floor.error or first.error}", "", "", ""]
                continue
            row += [ratio(record.seconds, floor.seconds), ratio(record.seconds, first.seconds)]
            row += [megabytes(record.peak), megabytes(record.disk)]
        rows.append([*row, agreement(others[-1].scores, others[0].scores)])
    table(head, rows)
