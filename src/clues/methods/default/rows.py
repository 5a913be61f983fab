"""What the default score measures at a client: its samples, public ones, and corrupted copies of these."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from clues.data.tokens import Joined, Tokens, as_table
from clues.methods.default.corruptions import TYPES, corrupted

COPIES = 2  # corrupted copies of every clean sample
Group = tuple[str, int]  # a domain of the validation set, and the half of it


@dataclass(frozen=True)
class Labels(Sequence[str]):
    """One of few names for each of many samples; `codes`: places in `names`."""

    names: list[str]
    codes: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str:  # type: ignore[override]
        return self.names[self.codes[row]]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """`tokens`: the private samples, then anchors up to `scored`, validation samples, and corrupted copies.

    `half`: of each validation sample, and of each copy of one, the half of its domain that it is in, -1 elsewhere. A
    validation sample is compared with the half it is not in, as it would agree with itself. `corruption`: of each copy
    the place of its type in `TYPES`, -1 elsewhere. `needed`: the domains that tell what is good here. `groups`: of
    every sample of the validation set its half, those that are not measured among them.
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
        """Which rows are public, and as they came: rows, bool."""
        return (self.corruption < 0) & (np.arange(len(self.corruption)) >= self.private)


def rows_of(samples: Sequence[Tokens], *, anchors: Sequence[Tokens], validation: Sequence[Tokens]) -> Rows:
    """The rows to measure, with `COPIES` corrupted copies of each public sample that tells what is good here."""
    private, groups = as_table(samples), halves(validation)
    public_domains = {"anchors": (t.domain for t in anchors), "validation": (t.domain for t in validation)}
    needed = needed_domains(private.domain_names, **public_domains)
    public = [(tokens, -1) for tokens in anchors]
    public += [(t, half) for t, (_, half) in zip(validation, groups, strict=True) if t.domain in needed]
    told = [(tokens, half) for tokens, half in public if tokens.domain in needed]
    copies = corrupted([t for t, _ in told], COPIES, groups=[(tokens.domain, half) for tokens, half in told])
    place = {name: number for number, name in enumerate(TYPES)}
    made = sorted(copies, key=lambda copy: place[copy.kind])
    return Rows(
        tokens=Joined(private, [tokens for tokens, _ in public], [copy.tokens for copy in made]),
        private=len(private),
        scored=len(private) + len(anchors),
        half=_column(len(private), [half for _, half in public], [told[copy.row][1] for copy in made]),
        corruption=_column(len(private), [-1] * len(public), [place[copy.kind] for copy in made]),
        needed=needed,
        groups=groups,
    )


def _column(private: int, public: Sequence[int], copies: Sequence[int]) -> np.ndarray:
    return np.concatenate([np.full(private, -1, dtype=np.int8), np.array([*public, *copies], dtype=np.int8)])


def halves(validation: Sequence[Tokens]) -> list[Group]:
    """The half of its domain that each validation sample is in, in turn."""
    seen: Counter[str] = Counter()
    groups = []
    for tokens in validation:
        groups.append((tokens.domain, seen[tokens.domain] % 2))
        seen[tokens.domain] += 1
    return groups


def needed_domains(samples: Iterable[str], *, anchors: Iterable[str], validation: Iterable[str]) -> set[str]:
    """Of domains, those whose public samples tell what is good here: the samples' own, or all where one is not known.

    Anchors of a domain that the validation set does not know (their file's name, mostly) always do.
    """
    own, known = set(samples), set(validation)
    return (own if own <= known else known) | (set(anchors) - known)
