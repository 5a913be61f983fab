"""Checks of repetition: of the prompt, and within the response."""

from __future__ import annotations

from clues.checks.pair import Pair

_LEAST = 4  # words of a prompt that can be recognised
_OPENING = 10  # words before a prompt that is repeated, such as "You would like to know:"
_COVERED = 8  # words of a loop


def repeats_prompt(pair: Pair) -> bool:
    """Whether the response is the prompt or most of it, once or several times, perhaps after a short opening.

    A response that repeats the prompt and then goes on is an ordinary answer, and so is a quotation of a passage.
    """
    prompt, rest = pair.prompt_words, pair.response_words
    if len(rest) < _LEAST or len(prompt) < _LEAST:
        return False
    if len(rest) < len(prompt):
        return len(rest) >= 0.8 * len(prompt) and f" {' '.join(rest)} " in f" {' '.join(prompt)} "
    while rest[-len(prompt) :] == prompt:
        rest = rest[: -len(prompt)]
    return len(rest) <= min(_OPENING, len(pair.response_words) - len(prompt))


def loops(pair: Pair) -> bool:
    """Whether a phrase follows itself at least twice, and this is a quarter of the response or more.

    Phrases without letters, as in tables of numbers, do not count.
    """
    words = pair.response_words
    last: dict[tuple[str, ...], int] = {}
    period = run = 0  # the last `run` words are each the word `period` places before
    for place in range(2, len(words)):
        three = tuple(words[place - 2 : place + 1])
        if period and words[place] == words[place - period]:
            run += 1
        else:
            period, run = place - last.get(three, place), 0
            while period and run <= place - period and words[place - run] == words[place - run - period]:
                run += 1
        last[three] = place
        if run and run + period >= max(3 * period, _COVERED, len(words) / 4):
            return any(map(str.isalpha, "".join(words[place - period + 1 : place + 1])))
    return False
