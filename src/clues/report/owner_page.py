"""The data owner's report: every sample with its score and the reason, in one file that fetches nothing."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from clues.data.samples import Private, PublicSamples
from clues.report.drawing import histogram, scatter
from clues.report.neighbours import Neighbours
from clues.report.owner import LOW_FEATURES, LOW_SCORE, OwnerRow, OwnerRows
from clues.report.packing import bands, packed, packed_rows
from clues.report.pages import rule_in_words, source, write_page
from clues.report.sent import read_sent, size
from clues.silo.selection import Selection
from clues.silo.tables import ScoreTable

SHOWN = 100_000  # samples in the table, and of a larger file the lowest-scoring ones
_UNUSABLE, _DOTS, _EXAMPLES, _MENDED = 200, 1500, 3, 6
_RESPONSES = {
    LOW_SCORE: "Read the lowest ones: what do they have in common that good samples lack?",
    LOW_FEATURES["agreement"]: "Do they belong to another task, or are they wrong? Read them beside a clean sample.",
    LOW_FEATURES["likeness"]: "Look for refusals, page residue, another language or another format.",
    LOW_FEATURES["ending"]: "Look for responses that break off, and for signatures or markup at their end.",
    LOW_FEATURES["relevance"]: "Check that prompts and responses have not been shifted against each other.",
    LOW_FEATURES["typicality"]: "Look for missing words, loops, and responses that repeat their prompt.",
    "near-copy of another sample": "Keep one of each group: --drop duplicate does so.",
    "near-copy of a test": "Remove them, or the test says nothing: --drop test does so.",
    "breaks off": "Often a length limit of the export; write it again without one.",
    "garbled characters": "Read the file with its true encoding and write it again as UTF-8.",
    "refuses": "Write a real answer, or drop them: --drop refusal does so.",
}


@dataclass(frozen=True, kw_only=True)
class OwnerData:
    """What the report of an owner is made of. `name`: the owner's or its file's."""

    name: str
    private: Private
    public: PublicSamples
    selection: Selection
    anchors: ScoreTable


def write_owner_page(folder: Path, data: OwnerData) -> Path:
    """Write `folder`/report.html and return its path. It shows private text and is for the owner only."""
    selection = data.selection
    scores, kept = selection.scores, np.array(selection.kept)
    lowest = np.argsort(scores, kind="stable")[:SHOWN]
    rows = OwnerRows(data.private.samples, selection, rows=lowest.tolist())
    clean = [*data.public.validation, *data.public.anchors]
    table, texts = packed_rows(rows, Neighbours(clean))
    measured = table["features"]
    table["bands"] = bands(measured, {name: data.anchors[name].tolist() for name in measured})
    limit = None if selection.updated is not None else selection.threshold.limit(selection.client)
    script, sent = source("owner.js"), read_sent(folder / "ledger.jsonl")
    values: dict[str, Any] = {
        "name": data.name,
        "sentence": _sentence(selection, len(data.private.unusable)),
        "notes": list(_notes(selection)),
        "picture": histogram(
            scores, kept, _placed_anchors(data), limit if limit is not None else _lowest(scores, kept)
        ),
        "anchors": len(_placed_anchors(data)),
        "mend": _mend(rows, table),
        "hidden": (len(rows), len(kept)) if len(rows) < len(kept) else None,
        "charts": list(_charts(table, selection, lowest)),
        "drawn": f"{_DOTS:,} of {len(rows):,} samples are drawn." if len(rows) > _DOTS else "",
        "unusable": [
            {"id": each.id, "place": Path(each.place).name, "reason": each.reason} for each in data.private.unusable
        ],
        "shown_unusable": _UNUSABLE,
        "sent": sent,
        "sent_size": size(sum(message.bytes for message in sent)),
        "columns": packed(table),
        "clean": packed([[s.id, str(s.context[-1]["content"]), s.response] for s in clean]),
        "texts": texts,
        "script": Markup(script),
        "script_source": f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'",
    }
    write_page(folder / "report.html", "owner.html", **values)
    return folder / "report.html"


def _sentence(selection: Selection, unusable: int) -> str:
    kept, total = sum(selection.kept), len(selection.kept)
    by = Counter(selection.decided_by(row) for row, keep in enumerate(selection.kept) if not keep)
    words = {"threshold": "by their score", "check": "by a check", "owner": "by you"}
    parts = [f"{by[name]:,} {text}" if len(by) > 1 else text for name, text in words.items() if by[name]]
    dropped = (
        f", {_count(total - kept)} dropped{':' if len(parts) > 1 else ''} {', '.join(parts)}"
        if parts
        else ", none is dropped"
    )
    rest = f" {_count(unusable, 'record', 'records')} cannot be used." if unusable else ""
    samples = f"sample{'' if total == 1 else 's'} {'is' if kept == 1 else 'are'}"
    return f"{kept:,} of {total:,} {samples} kept ({kept / max(total, 1):.0%}){dropped}.{rest}"


def _count(count: int, one: str = "is", many: str = "are") -> str:
    return f"{count:,} {one if count == 1 else many}"


def _notes(selection: Selection) -> Iterator[str]:
    threshold, limit = selection.threshold, selection.threshold.limit(selection.client)
    if limit is None:
        true = ", the true share of good samples" if threshold.rule == "oracle-ratio" else ""
        yield f"The best {threshold.share[selection.client]:.0%} by score are kept{true}."
    else:
        yield f"The threshold is {rule_in_words(threshold.rule, limit)}."
    if selection.decisions:
        yield f"{_count(len(selection.decisions), 'sample was', 'samples were')} decided by you."
    if selection.table.note:
        yield f"Note: {selection.table.note}."


def _placed_anchors(data: OwnerData) -> np.ndarray:
    """The anchors' scores on the axis of the samples' scores; none where judgements have changed these."""
    selection = data.selection
    return np.empty(0) if selection.updated is not None else data.anchors[selection.column]


def _lowest(scores: np.ndarray, kept: np.ndarray) -> float | None:
    return float(scores[kept].min()) if kept.any() else None


def _mend(rows: Sequence[OwnerRow], table: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The commonest causes among dropped samples, each with advice and the lowest-scoring examples."""
    found: dict[str, list[int]] = {}
    for place, (number, kept) in enumerate(zip(table["cause"], table["kept"], strict=True)):
        for cause in () if kept else table["causes"][number]:
            found.setdefault(cause, []).append(place)
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))[:_MENDED]
    return [
        {
            "cause": cause,
            "count": len(places),
            "advice": _RESPONSES.get(cause, ""),
            "examples": [(place, _excerpt(rows[place])) for place in places[:_EXAMPLES]],
        }
        for cause, places in ordered
    ]


def _excerpt(row: OwnerRow) -> str:
    return " ".join((row.prompt or row.response or row.id).split())[:160] or row.id


def _charts(table: Mapping[str, Any], selection: Selection, lowest: np.ndarray) -> Iterator[Mapping[str, Any]]:
    """The score against the length of the response and, where the file of scores has it, against the loss."""
    count, scores = len(lowest), selection.scores[lowest].tolist()
    if count < 2:
        return
    sides: dict[str, list[float]] = {"length": [max(length, 1) for length in table["length"]]}
    if "loss" in selection.table.names:
        sides["loss"] = selection.table["loss"][lowest].tolist()
    step = -(-count // _DOTS)
    for name, values in sides.items():
        points: dict[str, list[tuple[float, float]]] = {"dropped": [], "kept": []}
        for place in range(0, count, step):
            points["kept" if table["kept"][place] else "dropped"].append((values[place], scores[place]))
        words = _related(name, values, scores)
        label = "characters of the response" if name == "length" else "loss (nats a token)"
        yield {"name": name, "words": words, "picture": scatter(words, points, name=label, log=name == "length")}


def _related(name: str, values: Sequence[float], scores: Sequence[float]) -> str:
    from scipy.stats import spearmanr

    if min(values) == max(values) or min(scores) == max(scores):
        return f"The {name} is the same for all samples." if min(values) == max(values) else "All scores are the same."
    rho = float(spearmanr(values, scores).statistic)
    what = {"length": ("long", "short"), "loss": ("high-loss", "low-loss")}[name]
    correlation = f"(rank correlation {rho:+.2f})".replace("-", "−")
    if abs(rho) < 0.2:
        return f"The score hardly depends on the {name} {correlation}."
    better, worse = what if rho > 0 else what[::-1]
    return f"{better.capitalize()} responses score higher than {worse} ones {correlation}."
