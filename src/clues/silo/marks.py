"""The marks of an owner: the samples that were judged good or low, in a file that never leaves the owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clues.selection.judged import read_judged

DECISIONS = "decisions.jsonl"
QUALITIES = ("good", "low", "unsure", "")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what spreadsheets take for the start of a formula


@dataclass(frozen=True)
class Mark:
    """What an owner says of a sample: `quality` is one of `QUALITIES`, empty where nothing is decided."""

    id: str
    quality: str = ""
    remark: str = ""


def read_marks(path: Path, ids: Sequence[str]) -> dict[int, Mark]:
    """The owner's marks by row. Of several on a sample, the last one counts.

    A line holds `id`, `quality` and, if wanted, a `remark`, in any format of samples; or it is a record exported from
    Argilla, with questions of these names.

    Raises:
        DataError: unusable lines or unknown ids; lists all of them.
    """
    known = {identity: row for row, identity in enumerate(ids)}
    marks: dict[int, Mark] = {}

    def take(identity: str | None, record: Mapping[str, Any]) -> str:
        identity = identity if identity in known else from_cell(str(identity))
        quality, remark = _answer(record, "quality").lower(), from_cell(_answer(record, "remark"))
        if identity not in known:
            return f"no sample here has the id '{identity}'; correct or remove the line"
        if quality not in QUALITIES:
            return f"quality is '{quality}'; write good, low or unsure, or leave it empty"
        marks[known[identity]] = Mark(identity, quality, remark)
        return ""

    read_judged(path, take)
    return marks


def read_decisions(path: Path, ids: Sequence[str]) -> dict[int, bool]:
    """Whether each decided sample is good, by row; those without a judgement, or with an unsure one, are left out.

    Raises:
        DataError: as `read_marks`.
    """
    return decided(read_marks(path, ids))


def decided(marks: Mapping[int, Mark]) -> dict[int, bool]:
    """Whether each sample is good, of those that are marked as good or low."""
    return {row: mark.quality == "good" for row, mark in marks.items() if mark.quality in ("good", "low")}


def to_cell(text: str) -> str:
    """A text as a spreadsheet shows it and does not calculate it."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def from_cell(text: str) -> str:
    """The text that `to_cell` was given."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def _answer(record: Mapping[str, Any], name: str) -> str:
    """The value of a field, or the answers to a question in Argilla; people who disagree on a quality are unsure."""
    if not isinstance(record.get("responses"), Mapping):
        return str(record.get(name) or "").strip()
    answers = dict.fromkeys(str(answer.get("value")).strip() for answer in record["responses"].get(name) or [])
    return "unsure" if name == "quality" and len(answers) > 1 else "; ".join(answers)
