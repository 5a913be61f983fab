"""Checks of repetition: of the prompt, and within the response."""

from __future__ import annotations

from collections.abc import Sequence

from clues.checks.pair import Pair

_LEAST = 4  # words of a prompt that can be recognised
_OPENING = 10  # words before a prompt that is repeated, such as "You would like to know:"
_COVERED = 8  # words of a loop


def repeats_prompt(pair: Pair) -> bool:
    """Whether the response is the prompt or most of it, or ends with the prompt after a short opening.

    A response that repeats the prompt and then goes on is an ordinary answer, and so is a quotation of a passage.
    """
    prompt, response = pair.prompt_words, pair.response_words
    if len(response) < _LEAST or len(prompt) < _LEAST:
        return False
    if len(response) <= len(prompt):
        return len(response) >= 0.8 * len(prompt) and _contains(prompt, response)
    return len(response) <= len(prompt) + _OPENING and response[-len(prompt) :] == prompt


def loops(pair: Pair) -> bool:
    """Whether a phrase follows itself at least twice, and this is a quarter of the response or more.

    Phrases without letters, as in tables of numbers, do not count.
    """
    words = pair.response_words
    last: dict[tuple[str, ...], int] = {}
    period = run = 0
    for start in range(len(words) - 2):
        three = tuple(words[start : start + 3])
        distance = start - last.get(three, start)
        last[three] = start
        run = run + 1 if distance and distance == period else int(distance > 0)
        period = distance
        # Of a phrase of p words, three times in a row, all but the first p triples are p words after their like.
        covered = run + 2 + period
        if run and covered >= max(3 * period, _COVERED, len(words) / 4):
            phrase = words[start + 3 - period : start + 3]
            if any(character.isalpha() for word in phrase for character in word):
                return True
    return False


def _contains(words: Sequence[str], part: Sequence[str]) -> bool:
    """Whether `part` stands in `words` as it is."""
    return f" {' '.join(part)} " in f" {' '.join(words)} "
