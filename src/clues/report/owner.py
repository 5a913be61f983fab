"""What an owner may know of each sample: its texts, its score, what was decided, and why. All of it is private."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from clues.checks.registry import CHECKS, DUPLICATE, PUBLIC, TEST
from clues.data.sample import Sample
from clues.io.indexed import Indexed
from clues.methods.default.columns import FEATURES
from clues.silo.selection import Selection

# What a low value of a feature says of a sample.
LOW_FEATURES = {
    "agreement": "disagrees with the validation set",
    "likeness": "unlike good responses",
    "ending": "ends unlike good responses",
    "relevance": "hardly follows from its prompt",
    "typicality": "unusually easy or hard to predict",
}
LOW_SCORE = "low score"  # where the score has no features
_COPIES = {
    DUPLICATE: "near-copy of another sample",
    PUBLIC: "near-copy of a public sample",
    TEST: "near-copy of a test",
}


@dataclass(frozen=True)
class OwnerRow:
    """A sample as its owner sees it.

    `prompt`: the last turn before the response. `earlier`: the turns before that one, each as (role, text).
    `decision`: kept or dropped. `decided_by`: owner, check or threshold. `reason`: a sentence. `causes`: what is wrong
    with the sample, in words that many samples share; a kept one may have some, too. `features`: by name, as in the
    file of scores. `group`: the id of the best of its near-copies, maybe its own; empty without any.
    """

    id: str
    prompt: str
    response: str
    score: float
    decision: str
    decided_by: str
    reason: str
    causes: tuple[str, ...]
    domain: str
    features: dict[str, float]
    group: str
    earlier: tuple[tuple[str, str], ...] = ()


class OwnerRows(Indexed[OwnerRow]):
    """The samples of a selection, in the order of the file, each made when it is read.

    Args:
        rows: only these rows, in their order.
    """

    def __init__(self, samples: Sequence[Sample], selection: Selection, *, rows: Sequence[int] | None = None) -> None:
        self._samples, self._selection = samples, selection
        self._rows = range(len(selection.kept)) if rows is None else rows
        names, known = feature_names(selection.table.names), selection.features
        columns = known.T if known is not None else (selection.table[name] for name in names)
        self.features = dict(zip(names, columns, strict=True))
        self._best = selection.checked.best_copies()
        self._leaders = set(self._best)

    def __len__(self) -> int:
        return len(self._rows)

    def _item(self, row: int) -> OwnerRow:
        selection, row = self._selection, self._rows[row]
        sample = self._samples[row]
        *earlier, last = sample.context
        return OwnerRow(
            id=sample.id,
            prompt=_text(last["content"]),
            response=sample.response,
            score=float(selection.scores[row]),
            decision="kept" if selection.kept[row] else "dropped",
            decided_by=selection.decided_by(row),
            reason=selection.reason(row),
            causes=tuple(_causes(selection, row)),
            domain=sample.domain,
            features={name: float(values[row]) for name, values in self.features.items()},
            group=(self._best[row] if self._best else "") or (sample.id if sample.id in self._leaders else ""),
            earlier=tuple((str(turn["role"]), _text(turn["content"])) for turn in earlier),
        )


def feature_names(names: Sequence[str]) -> list[str]:
    """The columns that a score is explained by: the features of the default score, or all others that there are."""
    own = [name for name in FEATURES if name in names]
    return own or [name for name in names if name != "score"]


def _causes(selection: Selection, row: int) -> Iterator[str]:
    for name in selection.checked.names(row):
        yield CHECKS[name].words if name in CHECKS else _COPIES[name]
    if not selection.reached(row):
        weakest = selection.weakest(row)
        yield LOW_FEATURES[weakest[0]] if weakest else LOW_SCORE


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "" if content is None else str(content)
