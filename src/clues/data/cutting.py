"""How a sequence that is too long is cut: the one way that everything is bounded by."""

from __future__ import annotations

from collections.abc import Sequence


def cut_prompt(prompt: Sequence[int], room: int) -> list[int]:
    """A prompt's tokens, at most `room` of them: its middle goes.

    What stays is its beginning (the first token, the header, the start of a system turn) and three quarters from its
    end (the question's last part and the header of the answer).
    """
    if len(prompt) <= room:
        return list(prompt)
    first = max(1, room // 4)
    return [*prompt[:first], *prompt[len(prompt) - (room - first) :]]


def cut_pair(prompt: Sequence[int], response: Sequence[int], limit: int | None) -> tuple[list[int], list[int]]:
    """(prompt, response) of together at most `limit` tokens.

    The prompt gives way first, down to a quarter of the limit, so that a long response does not cost a short question;
    then the response loses its end.
    """
    if limit is None or len(prompt) + len(response) <= limit:
        return list(prompt), list(response)
    kept = cut_prompt(prompt, max(limit - len(response), limit // 4, 1))
    return kept, list(response[: limit - len(kept)])
