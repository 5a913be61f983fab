"""The registry of checks: their names in settings and files, and their words in reasons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clues.checks import characters, language, refusals, repetition, residue
from clues.checks.pair import Pair


@dataclass(frozen=True)
class Check:
    """A check of a single sample. `words`: what a reason says of a sample that it finds."""

    words: str
    find: Callable[[Pair], bool]


CHECKS = {
    "empty": Check("empty", characters.empty),
    "mojibake": Check("garbled characters", characters.garbled),
    "unfinished": Check("breaks off", characters.breaks_off),
    "language": Check("another language than the prompt", language.another_language),
    "refusal": Check("refuses", refusals.refuses),
    "template": Check("template marks", residue.template_marks),
    "residue": Check("page residue", residue.page_residue),
    "loop": Check("loops", repetition.loops),
    "echo": Check("repeats the question", repetition.repeats_prompt),
}

# The checks of a sample against others: public samples, samples of tests, and better-scored samples of the same owner.
PUBLIC, TEST, DUPLICATE = "public", "test", "duplicate"
NAMES = (*CHECKS, PUBLIC, TEST, DUPLICATE)
