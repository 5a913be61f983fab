"""Held-out tests, as samples and as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from clues.data.cutting import cut_prompt
from clues.data.prompts import tokenize
from clues.data.questions import Question, by_question
from clues.data.records.rows import listed
from clues.data.samples import Sample
from clues.data.tokens import TokenTable
from clues.errors import DataError
from clues.models.base import Base
from clues.settings import DataSettings


@dataclass(frozen=True)
class HeldOut:
    """Test samples, and the same ones tokenized for a base model; and multiple-choice questions with their options."""

    base: Base
    samples: Sequence[Sample]
    tokens: TokenTable
    questions: Sequence[Question] = ()
    options: TokenTable = field(default_factory=TokenTable)

    @classmethod
    def of(
        cls, base: Base, samples: Sequence[Sample], data: DataSettings, *, questions: Sequence[Question] = ()
    ) -> HeldOut:
        return cls(base, samples, tokenize(samples, base, data), questions, tokenize_options(questions, base, data))


def tokenize_options(questions: Sequence[Question], base: Base, data: DataSettings) -> TokenTable:
    """Every option of every question, in order, after its prompt, without the token that ends a response.

    A long prompt is cut to what the question's longest option leaves of it, so that all options follow the same one.

    Raises:
        DataError: the template refuses questions, or an option is too long; lists all such questions.
    """
    data = data.model_copy(update={"responses": "last"})  # earlier turns are no part of an option
    answered = (sample for question in questions for sample in question.answered())
    table, problems = TokenTable(), []
    for question, options in by_question(questions, tokenize(answered, base, data, end=False)):
        limit, length = options[0].limit, min(option.response_start for option in options)
        if limit and any(option.truncated for option in options):
            options = [option.after(cut_prompt(option.full_prompt, length)) for option in options]
            if length <= limit // 4:  # else only prompts were cut
                problems.append(
                    f"{question.sample.place}: an option leaves at most a quarter of data.max_tokens = {limit} for the "
                    "prompt; raise that setting or remove the question."
                )
        for option in options:
            table.append(option)
    if problems:
        raise DataError(listed(problems))
    return table
