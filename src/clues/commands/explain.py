"""`clues explain`: why one sample was judged as it was. What it says is for the data owner only."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clues.data.records.sources import rows
from clues.data.samples import read_records
from clues.data.telling import told_before
from clues.errors import CluesError, DataError, OutputError
from clues.io.files import read_json
from clues.methods.default.columns import FEATURES
from clues.silo.checked import DUPLICATE_OF, Checked
from clues.silo.marks import DECISIONS
from clues.silo.scored import Scored
from clues.silo.tables import ScoreTable

# By feature of the default score: what it says of a sample that is low in it.
_LOW = {
    "agreement": "training on it would do little for the validation set",
    "likeness": "its response reads unlike good answers",
    "ending": "it ends unlike good answers; it may break off",
    "relevance": "its prompt hardly helps to predict the response; it may answer something else",
    "typicality": "it is unusually hard or easy to predict; words may be missing, or it repeats itself or its prompt",
}
_TEXT = 400  # characters of prompt and response that are shown


def explain(folder: Path, identity: str) -> dict[str, Any]:
    """By title, what is known of a sample: decision and reason, score, features, checks, near-copies, text.

    Args:
        folder: one that `clues select` wrote, or a client's folder in a run.

    Raises:
        OutputError: the folder holds no selection.
        DataError: no sample has that id; names similar ones.
    """
    table, judged = _selected(folder), _record(folder, identity)
    if judged is None:
        similar = difflib.get_close_matches(identity, table.ids, n=3)
        hint = f"did you mean {' or '.join(similar)}?" if similar else "kept.jsonl and dropped.jsonl have all ids."
        raise DataError(f"no sample in {folder} has the id '{identity}'; {hint}")
    kept, record = judged
    verdict = record["clues"]
    facts: dict[str, Any] = {"decision": "kept" if kept else "dropped", "why": verdict["reason"]}
    facts |= _decided(folder, identity)
    if verdict["score"] is not None:
        row = table.ids.index(identity)
        facts |= _scored(folder, row, score=verdict["score"]) | _compared(Scored(folder), row)
        facts["checks found"] = "; ".join(Checked(table).words(row)) or "nothing"
        facts["near-copies"] = ", ".join(_copies(table, row)) or "none"
    return facts | _texts(record)


def _selected(folder: Path) -> ScoreTable:
    if (folder / "clients").is_dir():
        names = ", ".join(sorted(path.name for path in (folder / "clients").iterdir()))
        raise OutputError(f"{folder}: holds several clients ({names}); name the folder of one: {folder}/clients/NAME.")
    scored = Scored(folder)
    if not (folder / "scores.parquet").is_file():
        raise OutputError(f"{folder}: holds no scores; run clues score with --out {folder} first.")
    if not (folder / "kept.jsonl").is_file():
        raise OutputError(f"{folder}: nothing is selected yet; run clues select {folder} first.")
    return scored.samples


def _record(folder: Path, identity: str) -> tuple[bool, dict[str, Any]] | None:
    """Whether a sample was kept, and its record with the score and the reason."""
    for name in ("kept", "dropped"):
        with (folder / f"{name}.jsonl").open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                if record["clues"]["id"] == identity:
                    return name == "kept", record
    return None


def _decided(folder: Path, identity: str) -> dict[str, str]:
    """The last decision of the owner on a sample, if there is any."""
    file = folder / DECISIONS
    records = [row.record for row in rows(file) if row.record] if file.is_file() else []
    made = [record for record in records if str(record.get("id")) == identity and record.get("quality")]
    if not made:
        return {}
    remark = made[-1].get("remark")
    return {"your decision": str(made[-1]["quality"]) + (f" ({remark})" if remark else "")}


def _scored(folder: Path, row: int, *, score: float) -> dict[str, str]:
    """The score beside the threshold, the anchors' scores and those of the other samples."""
    scored, selection = Scored(folder), read_json(folder / "selection.json")
    anchors, samples = scored.anchors.score, scored.score
    before, facts = float(samples[row]), {"score": f"{score:.3f}"}
    if abs(before - score) > 1e-9 * max(1.0, abs(before)):
        facts["score"] += f" with your decisions, {before:.3f} without"
    limit = selection.get("threshold", selection.get("value"))
    if limit is not None:
        limit *= selection.get("scale", {}).get(folder.resolve().name, 1.0)
        facts["threshold"] = f"{limit:.3f} ({selection['rule']})"
    facts["anchors' scores"] = f"{float(anchors.min()):.3f} to {float(anchors.max()):.3f}, mean {anchors.mean():.3f}"
    facts["rank"] = f"{int((samples > before).sum()) + 1} of {len(samples)}, the best first"
    return facts


def _compared(scored: Scored, row: int) -> dict[str, str]:
    """Each feature of a sample in standard deviations: of the anchors, or of clean samples for the default score."""
    names = [name for name in FEATURES if name in scored.samples.names]
    if len(names) == len(FEATURES):
        values = {name: float(scored.samples[name][row]) for name in names}
        return {name: _in_words(value, _LOW[name]) for name, value in values.items()}
    columns = {name: (scored.samples[name], scored.anchors[name]) for name in scored.samples.names}
    return {
        f"{name} against the anchors": _in_words((float(own[row]) - float(anchors.mean())) / spread, "")
        for name, (own, anchors) in columns.items()
        for spread in [float(anchors.std())]
        if spread > 0
    }


def _in_words(deviations: float, low: str) -> str:
    """A feature in standard deviations of good samples: `-2.5 standard deviations, far below good ones: …`."""
    if abs(deviations) < 1:
        place = "like good ones"
    else:
        place = f"{'far ' if abs(deviations) >= 2 else ''}{'above' if deviations > 0 else 'below'} good ones"
    why = f": {low}" if low and deviations <= -1 else ""
    return f"{deviations:+.1f} standard deviations, {place}{why}"


def _copies(table: ScoreTable, row: int) -> list[str]:
    """The ids of the other near-copies of a sample."""
    column, ids = table.texts(DUPLICATE_OF), table.ids
    if column is None:
        return []
    best = column.to_pylist()
    first = best[row] or ids[row]
    return [ids[other] for other in range(len(ids)) if other != row and (best[other] or ids[other]) == first]


@told_before()
def _texts(record: Mapping[str, Any]) -> dict[str, str]:
    """The beginnings of prompt and response, or of a record that cannot be used."""
    plain = {key: value for key, value in record.items() if key != "clues"}
    try:
        (sample,) = read_records([plain], "record")
    except CluesError:
        return {"record": _shortened(json.dumps(plain, ensure_ascii=False))}
    return {"prompt": _shortened(sample.context[-1]["content"]), "response": _shortened(sample.response)}


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT else f"{text[:_TEXT]} …"
