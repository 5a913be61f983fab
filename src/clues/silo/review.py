"""The selection that follows from what an owner decided about some samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from clues.methods.default.columns import HIGHEST, LOWEST
from clues.selection.reviewed import best_limit, updated_log_odds
from clues.selection.threshold import Threshold
from clues.silo.selection import Selection


def reviewed(selection: Selection, decisions: Mapping[int, bool]) -> Selection:
    """The selection given decisions: decided samples as the owner wants, the others by updated log-odds.

    Scores that are not log-odds count as such after subtraction of their limit, in units of their spread.
    """
    if not decisions:
        return selection
    log_odds, features = selection.scores, selection.features
    if features is None:
        limit = selection.threshold.limit(selection.client)
        centre = float(np.median(log_odds)) if limit is None else limit
        log_odds = (log_odds - centre) / max(log_odds.std(), np.finfo(np.float32).tiny)
        features = log_odds[:, None]
    else:
        features = features.clip(LOWEST, HIGHEST)
    updated = updated_log_odds(log_odds, features, judged=decisions)
    threshold = Threshold("reviewed", best_limit(updated))
    return replace(selection, threshold=threshold, decisions=decisions, updated=updated)
