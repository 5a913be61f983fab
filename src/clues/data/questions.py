"""Multiple-choice questions, from files with a prompt, options and the right answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

from clues.data.layouts.choices import CHOICES, options_of
from clues.data.samples import Sample, read_many
from clues.settings import DataSettings

T = TypeVar("T")


@dataclass(frozen=True)
class Question:
    """A multiple-choice question. `sample`: its prompt, with the right option as the response."""

    sample: Sample
    options: list[str]
    right: int

    def answered(self) -> list[Sample]:
        """The prompt with each option as the response."""
        return [replace(self.sample, response=option) for option in self.options]


def read_questions(sources: Sequence[str], data: DataSettings = DataSettings()) -> list[Question]:
    """Read files of questions strictly (`clues.data.layouts.choices`). Ids and domains are those of `read_samples`.

    Raises:
        DataError: records cannot be used, or appear in two of the files; lists all of them.
    """
    samples = read_many(sources, data, layout=CHOICES)
    return [Question(sample, *options_of(sample.record)) for sample in samples]


def by_question(questions: Iterable[Question], items: Iterable[T]) -> Iterator[tuple[Question, list[T]]]:
    """Each question with the items of its options, from the items of all options in order."""
    remaining = iter(items)
    return ((question, list(islice(remaining, len(question.options)))) for question in questions)
