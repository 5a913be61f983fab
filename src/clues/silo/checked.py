"""The columns of a table of scores that say what checks found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from functools import cached_property
from typing import Any

import numpy as np

from clues.checks.findings import Findings
from clues.checks.registry import CHECKS, DUPLICATE, NAMES, TEST
from clues.errors import SelectionError
from clues.silo.tables import ScoreTable

CHECKED, DUPLICATE_OF, PUBLIC_COPY = "checks", "duplicate_of", "copy_of_public"


def columns(findings: Findings, scores: np.ndarray, id_of: Callable[[int], str]) -> dict[str, Any]:
    """The columns: the names of checks that found something; the ids of the samples that a sample is a near-copy of.

    Args:
        scores: of the samples; of near-copies, the best-scored one is none of another. id_of: the id of a row.
    """
    import pyarrow

    better, public = findings.copies.among(scores), findings.of_public
    sources = findings.public_copies
    test = np.isin(np.arange(len(public)), [row for row, (part, _) in sources.items() if part == TEST])
    single = [findings.marks >> bit & 1 for bit in range(len(CHECKS))]
    rows, checks = np.nonzero(np.stack([*single, (public >= 0) & ~test, test, better >= 0], axis=1))
    ends = np.searchsorted(rows, np.arange(len(public) + 1)).astype(np.int32)
    duplicate_of = [id_of(row) if row >= 0 else None for row in better.tolist()]
    copied = [" sample ".join(sources[row]) if row in sources else None for row in range(len(public))]
    return {
        CHECKED: pyarrow.ListArray.from_arrays(ends, pyarrow.array(NAMES).take(checks)),
        DUPLICATE_OF: pyarrow.array(duplicate_of, pyarrow.string()),
        PUBLIC_COPY: pyarrow.array(copied, pyarrow.string()),
    }


class Checked:
    """What checks found in the samples of a table; nothing, if the table has none of these columns."""

    def __init__(self, table: ScoreTable) -> None:
        self._samples = len(table)
        self._names, self._duplicate_of, self._public_copy = map(table.texts, (CHECKED, DUPLICATE_OF, PUBLIC_COPY))

    def marked(self, names: Collection[str]) -> np.ndarray:
        """Whether one of these checks found something: samples, bool.

        Raises:
            SelectionError: there are names, and the table has no findings.
        """
        if not names:
            return np.zeros(self._samples, dtype=bool)
        if self._names is None:
            raise SelectionError("selection.drop: these scores were made without checks; leave it out, or score again.")
        found = np.isin(self._names.flatten().to_numpy(zero_copy_only=False), list(names))
        totals = np.concatenate([[0], np.cumsum(found)])[self._starts]
        marked: np.ndarray = totals[1:] > totals[:-1]
        return marked

    def words(self, row: int) -> list[str]:
        """What a reason says of a sample."""
        names = self.names(row)
        return [CHECKS[name].words if name in CHECKS else f"near-copy of {self._other(row, name)}" for name in names]

    def names(self, row: int) -> list[str]:
        """The checks that found something in a sample."""
        if self._names is None or self._starts[row] == self._starts[row + 1]:  # quickly told, as most have none
            return []
        return list(self._names[row].as_py())

    def best_copies(self) -> list[str | None]:
        """The id of the better-scored sample that each is a near-copy of, or None; empty without findings."""
        return [] if self._duplicate_of is None else list(self._duplicate_of.to_pylist())

    def counts(self) -> dict[str, int]:
        """In how many samples each check found something."""
        found = Counter([] if self._names is None else self._names.flatten().to_pylist())
        return {name: found[name] for name in NAMES if found[name]}

    @cached_property
    def _starts(self) -> np.ndarray:
        """Where the names of each sample begin among all, and where those of the last one end: samples + 1."""
        return self._names.offsets.to_numpy() - self._names.offsets[0].as_py()

    def _other(self, row: int, name: str) -> str:
        return str((self._duplicate_of if name == DUPLICATE else self._public_copy)[row].as_py())
