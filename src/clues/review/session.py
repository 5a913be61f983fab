"""What a review is about: which samples, in which order, what was marked, and what follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from clues.review.log import MarkLog
from clues.selection.reviewed import worth_reviewing
from clues.silo.folder import OwnerFolder
from clues.silo.marks import QUALITIES, Mark, decided
from clues.silo.review import reviewed

VERBS = {"good": "keep", "low": "drop", "unsure": "unsure"}  # what the qualities are called on the page


@dataclass(frozen=True)
class Effect:
    """The numbers of samples, of those kept by the score alone, and of those kept with the marks."""

    samples: int
    by_score: int
    with_marks: int

    @property
    def sentence(self) -> str:
        if self.with_marks == self.by_score:
            return f"{self.by_score} of {self.samples} are kept, with your marks as without."
        return f"With your marks {self.with_marks} instead of {self.by_score} of {self.samples} are kept."


class Session:
    """The review of one owner's samples; all its state is in the owner's folder.

    `queue`: the rows to review, the most informative first: as many batches of `count` as are finished, and the next.
    """

    def __init__(self, owner: OwnerFolder, count: int) -> None:
        self.owner, self.count, self.queue = owner, count, list[int]()
        self.log = MarkLog(owner.decisions, owner.ids)
        self.marks = self.log.marks()
        self.scores, self.kept = owner.by_score.scores, owner.by_score.kept
        while not self.open_rows and self.more():
            pass

    def more(self) -> bool:
        """Add a batch to the queue; whether there are samples left for one."""
        queued = set(self.queue)
        left = [row for row in range(len(self.owner.table)) if row not in queued]
        self.queue += [left[place] for place in worth_reviewing(self.scores[left], self.count)]
        return bool(left)

    @property
    def open_rows(self) -> list[int]:
        """The rows of the queue that are not marked yet."""
        return [row for row in self.queue if not self.mark(row).quality]

    def mark(self, row: int) -> Mark:
        return self.marks.get(row, Mark(self.owner.ids[row]))

    def judge(self, row: int, quality: str) -> None:
        """Write the mark of a sample at once. Raises DataError if decisions.jsonl is broken."""
        self._write(Mark(self.owner.ids[row], quality, self.mark(row).remark))

    def remark(self, row: int, text: str) -> None:
        """Write the remark on a sample at once. Raises DataError if decisions.jsonl is broken."""
        self._write(Mark(self.owner.ids[row], self.mark(row).quality, text))

    def undo(self) -> int | None:
        """Take the latest mark back; returns its row, if there was one."""
        identity = self.log.undo()
        self.marks = self.log.marks()
        return None if identity is None else self.owner.ids.index(identity)

    def effect(self) -> Effect:
        with_marks = reviewed(self.owner.by_score, decided(self.marks))
        return Effect(len(self.kept), sum(self.kept), sum(with_marks.kept))

    def reason(self, row: int) -> str:
        """Score, decision and reason without the marks, in one sentence."""
        verb = "keeps" if self.kept[row] else "drops"
        return f"The score {float(self.scores[row]):.3g} {verb} it: {self.owner.by_score.reason(row)}."

    def found(self, words: str, *, by_mark: bool, falling: bool) -> list[int]:
        """The rows whose id, prompt or response contains all of these words, by score or by mark."""
        rows = (-self.scores if falling else self.scores).argsort(kind="stable").tolist()
        if by_mark:
            order = ["", *sorted(QUALITIES[:-1])]
            rows.sort(key=lambda row: order.index(self.mark(row).quality), reverse=not falling)
        wanted = words.casefold().split()
        return [row for row in rows if self._has(row, wanted)] if wanted else rows

    def _has(self, row: int, words: list[str]) -> bool:
        sample = self.owner.private.samples[row]
        text = "\n".join([sample.id, *(str(turn["content"]) for turn in sample.context), sample.response]).casefold()
        return all(word in text for word in words)

    def _write(self, mark: Mark) -> None:
        self.log.add(mark)
        self.marks = self.log.marks()
