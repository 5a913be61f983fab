"""`clues suggest`: the samples that are most worth reviewing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.io.files import write_jsonl
from clues.selection.reviewed import worth_reviewing
from clues.silo.folder import open_folder
from clues.silo.marks import read_marks


def suggest(folder: Path, count: int) -> tuple[Path, list[dict[str, Any]]]:
    """The samples of an owner's folder that are most worth reviewing, each with an empty `quality` to fill in.

    Samples that were marked already, also as unsure, are left out.

    Returns:
        The file that they are written to, to-review.jsonl in the folder, and the samples.
    """
    owner = open_folder(folder)
    scores, marks = owner.table.score, read_marks(owner.decisions, owner.ids) if owner.decisions.is_file() else {}
    open_rows = [row for row in range(len(scores)) if row not in marks or not marks[row].quality]
    chosen = [open_rows[place] for place in worth_reviewing(scores[open_rows], count)]
    suggestions = [
        {
            "id": sample.id,
            "quality": "",
            "score": float(scores[row]),
            "prompt": sample.context[-1]["content"],
            "response": sample.response,
        }
        for row in chosen
        for sample in [owner.private.samples[row]]
    ]
    file = owner.path / "to-review.jsonl"
    write_jsonl(file, suggestions)
    return file, suggestions
