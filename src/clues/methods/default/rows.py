"""The rows that the default score measures at a client: its samples, public ones, and corrupted copies of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clues.data.tokens import Joined, Tokens, as_table
from clues.io.indexed import Indexed
from clues.methods.default.corruptions import TYPES, corrupted

COPIES = 2  # corrupted copies of every clean sample
Group = tuple[str, int]  # a domain of the validation set, and the half of it


@dataclass(frozen=True)
class Labels(Indexed[str]):
    """One of a few names for each of many samples; `codes`: indices into `names`."""

    names: list[str]
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)

    def _item(self, row: int) -> str:
        return self.names[self.codes[row]]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """`tokens`: the private samples, then anchors up to `scored`, validation samples, and corrupted copies.

    `half`: the half of its domain that a validation sample, or a copy of one, is in; -1 elsewhere. A validation sample
    is compared with the other half only, as it would agree with itself. `corruption`: the index of a copy's type in
    `TYPES`; -1 elsewhere. `needed`: the domains that define what is good here. `groups`: the half of every validation
    sample, measured or not.
    """

    tokens: Joined
    private: int
    scored: int
    half: np.ndarray
    corruption: np.ndarray
    needed: set[str]
    groups: list[Group]

    @property
    def domains(self) -> Labels:
        """The domain of every row, as its file names it."""
        return Labels(self.tokens.domain_names, self.tokens.domains)

    @property
    def clean(self) -> np.ndarray:
        """Which rows are public and uncorrupted: rows, bool."""
        return (self.corruption < 0) & (np.arange(len(self.corruption)) >= self.private)


def rows_of(samples: Sequence[Tokens], *, anchors: Sequence[Tokens], validation: Sequence[Tokens]) -> Rows:
    """The rows to measure, with `COPIES` corrupted copies of each public sample of a needed domain."""
    private, groups = as_table(samples), halves(validation)
    of_anchors, of_validation = ((t.domain for t in part) for part in (anchors, validation))
    needed = needed_domains(private.domain_names, anchors=of_anchors, validation=of_validation)
    public = [(tokens, -1) for tokens in anchors]
    public += [(t, half) for t, (_, half) in zip(validation, groups, strict=True) if t.domain in needed]
    learnt = [(tokens, half) for tokens, half in public if tokens.domain in needed]
    copies = corrupted([t for t, _ in learnt], COPIES, groups=[(tokens.domain, half) for tokens, half in learnt])
    place = {name: number for number, name in enumerate(TYPES)}
    copies.sort(key=lambda copy: place[copy.kind])
    return Rows(
        tokens=Joined(private, [tokens for tokens, _ in public], [copy.tokens for copy in copies]),
        private=len(private),
        scored=len(private) + len(anchors),
        half=_column(len(private), public=[half for _, half in public], copies=[learnt[c.row][1] for c in copies]),
        corruption=_column(len(private), public=[-1] * len(public), copies=[place[c.kind] for c in copies]),
        needed=needed,
        groups=groups,
    )


def _column(private: int, *, public: Sequence[int], copies: Sequence[int]) -> np.ndarray:
    return np.concatenate([np.full(private, -1, dtype=np.int8), np.array([*public, *copies], dtype=np.int8)])


def halves(validation: Sequence[Tokens]) -> list[Group]:
    """The half of its domain that each validation sample is in, alternating."""
    seen: Counter[str] = Counter()
    groups = []
    for tokens in validation:
        groups.append((tokens.domain, seen[tokens.domain] % 2))
        seen[tokens.domain] += 1
    return groups


def needed_domains(samples: Iterable[str], *, anchors: Iterable[str], validation: Iterable[str]) -> set[str]:
    """The domains whose public samples define what is good here, from the domains of each set.

    They are the private samples' domains or, where the validation set lacks one of those, all of its domains; and every
    domain of anchors that it lacks (mostly their file's name).
    """
    private, known = set(samples), set(validation)
    return (private if private <= known else known) | (set(anchors) - known)
