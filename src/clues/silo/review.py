"""What an owner decided about some samples, and the selection that follows from it. Decisions never leave the owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from clues.data.records.rows import listed
from clues.data.records.sources import rows
from clues.errors import DataError
from clues.methods.default.score import HIGHEST, LOWEST
from clues.selection.reviewed import best_limit, updated_log_odds
from clues.selection.threshold import Threshold
from clues.silo.selection import Selection

DECISIONS = "decisions.jsonl"


def read_decisions(path: Path, ids: Sequence[str]) -> dict[int, bool]:
    """Whether each decided sample is good, by row.

    A line holds `id`, `quality` (good or low; empty or null for a sample left undecided) and, if wanted, a `remark`. Of
    several lines for a sample, the last one counts.

    Raises:
        DataError: unusable lines or unknown ids; lists all of them.
    """
    known = {identity: row for row, identity in enumerate(ids)}
    decisions: dict[int, bool] = {}
    problems = []
    for line in rows(path):
        record = line.record or {}
        identity, quality = str(record.get("id")), record.get("quality")
        if line.record is None:
            problems.append(f"{line.place}: {line.problem}.")
        elif identity not in known:
            problems.append(f"{line.place}: '{identity}' is the id of no sample here; correct or remove the line.")
        elif quality in ("good", "low"):
            decisions[known[identity]] = quality == "good"
        elif quality in (None, ""):
            decisions.pop(known[identity], None)
        else:
            problems.append(f"{line.place}: quality is '{quality}'; write good or low, or leave it empty.")
    if problems:
        raise DataError(listed(problems))
    return decisions


def reviewed(selection: Selection, decisions: Mapping[int, bool]) -> Selection:
    """The selection given decisions: decided samples as the owner wants, the others by updated log-odds.

    Scores that are not log-odds count as such after subtraction of their limit, in units of their spread.
    """
    if not decisions:
        return selection
    log_odds, features = selection.scores, selection.features
    if features is None:
        limit = selection.threshold.limit(selection.client)
        centre = float(log_odds.median()) if limit is None else limit
        log_odds = (log_odds - centre) / log_odds.std(correction=0).clamp(min=torch.finfo(torch.float32).tiny)
        features = log_odds[:, None]
    else:
        features = features.clamp(LOWEST, HIGHEST)
    updated = updated_log_odds(log_odds, features, judged=decisions)
    threshold = Threshold("reviewed", best_limit(updated))
    return replace(selection, threshold=threshold, decisions=decisions, updated=updated)
