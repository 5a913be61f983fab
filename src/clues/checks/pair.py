"""What a check looks at: the last prompt of a sample and its response."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from clues.data.sample import Sample
from clues.data.words import words


@dataclass(frozen=True)
class Pair:
    """A prompt and its response, as texts and as words without case and punctuation."""

    prompt: str
    response: str

    @classmethod
    def of(cls, sample: Sample) -> Pair:
        """Of a conversation, the prompt is the last turn of the user."""
        turns = [turn["content"] for turn in sample.context if turn["role"] == "user"]
        return cls(turns[-1] if turns else "", sample.response)

    @cached_property
    def prompt_words(self) -> list[str]:
        return words(self.prompt)

    @cached_property
    def response_words(self) -> list[str]:
        return words(self.response)
