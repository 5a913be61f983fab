"""The input and the output of a scoring method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from torch import Tensor

from clues.data.tokens import Joined, TokenTable
from clues.models.base import Base
from clues.models.trajectory import Trained
from clues.passes.passes import Passes
from clues.settings import ScoringSettings, SiloSettings


@dataclass(frozen=True, kw_only=True)
class Public:
    """Samples known to every party: the validation set defines what is good, the anchors set the threshold."""

    validation: TokenTable
    anchors: TokenTable

    @classmethod
    def none(cls) -> Public:
        """For work that uses private samples only."""
        return cls(validation=TokenTable(), anchors=TokenTable())


@dataclass(frozen=True, kw_only=True)
class Job:
    """The work of one data owner."""

    base: Base
    private: TokenTable
    public: Public
    settings: SiloSettings

    @cached_property
    def scored(self) -> Joined:
        """The samples to score: the private ones, then the anchors."""
        return Joined(self.private, self.public.anchors)

    @property
    def scoring(self) -> ScoringSettings:
        return self.settings.scoring

    def with_scoring(self, **choices: Any) -> Job:
        """The same job with some settings of `scoring` fixed."""
        settings = self.settings.model_copy(update={"scoring": self.scoring.model_copy(update=choices)})
        return Job(base=self.base, private=self.private, public=self.public, settings=settings)


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of the private samples, then of the anchors; every tensor holds one number per sample, higher is better.

    `by_domain`: the score against each validation domain alone. `signals`: what the score is computed from. `parts`:
    the contribution of each part of the adapter. `beside`: other measures on which thresholds are compared.
    `validation`: signals of the validation samples, where they count as clean samples beside the anchors. `note`: what
    a person should know of these scores, as a sentence without its full stop.
    """

    score: Tensor
    by_domain: Mapping[str, Tensor] = field(default_factory=dict)
    signals: Mapping[str, Tensor] = field(default_factory=dict)
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    beside: Mapping[str, Tensor] = field(default_factory=dict)
    validation: Mapping[str, Tensor] = field(default_factory=dict)
    note: str = ""

    @property
    def columns(self) -> dict[str, Tensor]:
        """All columns by name, in the order of a file of scores."""
        return {"score": self.score, **self.by_domain, **self.signals, **self.parts, **self.beside}

    def rows(self, rows: slice) -> Scores:
        """The scores of some samples."""
        fields = (self.by_domain, self.signals, self.parts, self.beside)
        by_domain, signals, parts, beside = ({name: v[rows] for name, v in columns.items()} for columns in fields)
        score, note = self.score[rows], self.note
        return Scores(score=score, by_domain=by_domain, signals=signals, parts=parts, beside=beside, note=note)


# A scoring method; higher is better.
Score = Callable[[Job, Trained, Passes], Scores]
