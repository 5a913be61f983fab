"""The scores in a folder, and what an owner keeps by them alone. Nothing here needs a model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from clues.selection.threshold import fit_threshold
from clues.settings import SelectionSettings
from clues.silo.selection import Selection
from clues.silo.tables import ScoreTable

ALONE = "me"  # the owner's name where there is no collaboration
SAMPLES, ANCHORS, COSTS = "scores.parquet", "anchors.parquet", "costs.json"
VALIDATION = "validation.parquet"  # written where a method measures validation samples as it does anchors


@dataclass(frozen=True)
class Scored:
    """The scores in a folder: of the private samples, and of the anchors."""

    folder: Path

    @cached_property
    def samples(self) -> ScoreTable:
        return ScoreTable(self.folder / SAMPLES)

    @cached_property
    def anchors(self) -> ScoreTable:
        return ScoreTable(self.folder / ANCHORS)

    @property
    def score(self) -> np.ndarray:
        """The scores of the private samples, higher being better: samples."""
        return self.samples.score


def select_by_anchors(
    scored: Scored, settings: SelectionSettings, *, name: str = ALONE, good_share: float | None = None
) -> Selection:
    """What one owner keeps by its own anchors alone.

    Args:
        settings: they name the rule. good_share: the true share of good samples, for the rule `oracle-ratio`.
    """
    shares = None if good_share is None else {name: good_share}
    threshold = fit_threshold({name: scored.anchors.score}, settings, shares)
    return Selection(scored.samples, threshold, name, drop=settings.drop)
