"""What all checks find in the samples of one owner. Nothing of it is a text: it is numbers of samples and names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from clues.checks.copies import Copies, Rows
from clues.checks.pair import Pair
from clues.checks.registry import CHECKS, TEST
from clues.data.samples import PublicSamples, Sample
from clues.data.telling import tell_leaks, tell_overlap
from clues.io.progress import phase, track

Marks = np.ndarray[Any, np.dtype[np.uint16]]


@dataclass(frozen=True)
class Findings:
    """`marks`: a bit for each of `CHECKS`. `copies`: near-copies among the samples, which depend on their scores.

    `of_public`: for each sample the number of a public one that it is a near-copy of, or -1. `public`: those that
    samples are near-copies of, by number, each with its part (validation, anchor or test) and its id.
    """

    marks: Marks
    copies: Copies
    of_public: Rows
    public: dict[int, tuple[str, str]]

    @cached_property
    def digest(self) -> str:
        """Of everything that these findings depend on."""
        rest = repr([self.copies.digest, self.public]).encode()
        return hashlib.sha256(self.marks.tobytes() + self.of_public.tobytes() + rest).hexdigest()

    @property
    def public_copies(self) -> dict[int, tuple[str, str]]:
        """The samples that are near-copies of public ones, by row, with the part and the id of that one."""
        return {row: self.public[int(self.of_public[row])] for row in np.flatnonzero(self.of_public >= 0).tolist()}


@phase("checking")
def check_samples(samples: Sequence[Sample], public: PublicSamples, tests: Sequence[Sample] = ()) -> Findings:
    """Apply every check to each sample.

    Args:
        public, tests: samples that private ones should not repeat.
    """
    marks = np.zeros(len(samples), dtype=np.uint16)
    parts = {TEST: tests, "validation": public.validation, "anchor": public.anchors}  # the first one found is named
    others = [(part, sample) for part, members in parts.items() for sample in members]
    copies = Copies(_marked(samples, marks), (Pair.of(sample) for _, sample in others))
    of_public = copies.of_public()
    repeated = {number: others[number] for number in np.unique(of_public[of_public >= 0]).tolist()}
    public_ids = {number: (part, other.id) for number, (part, other) in repeated.items()}
    return Findings(marks, copies, of_public, public_ids)


def tell_findings(findings: Findings, samples: Sequence[Sample], who: str) -> None:
    """Warn of samples that are near-copies of public ones."""
    copies = findings.public_copies
    tell_overlap([samples[row].id for row, (part, _) in copies.items() if part != TEST], who)
    tell_leaks([samples[row].id for row, (part, _) in copies.items() if part == TEST], who)


def _marked(samples: Sequence[Sample], marks: Marks) -> Iterator[Pair]:
    """The samples as pairs, whose marks are set when they are read."""
    for row, sample in enumerate(track(samples, "checking samples")):
        pair = Pair.of(sample)
        marks[row] = sum(check.find(pair) << bit for bit, check in enumerate(CHECKS.values()))
        yield pair
