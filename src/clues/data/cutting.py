"""Truncation of long sequences, the same for training, scoring and evaluation."""

from __future__ import annotations

from collections.abc import Sequence


def cut_prompt(prompt: Sequence[int], room: int) -> list[int]:
    """Truncate a prompt to `room` tokens by removing its middle.

    A quarter of what remains is its beginning (the first token, the header, the start of a system turn), three quarters
    are its end (the last part of the question and the header of the answer).
    """
    if len(prompt) <= room:
        return list(prompt)
    first = max(1, room // 4)
    return [*prompt[:first], *prompt[len(prompt) - (room - first) :]]


def cut_pair(prompt: Sequence[int], response: Sequence[int], limit: int | None) -> tuple[list[int], list[int]]:
    """Truncate (prompt, response) to `limit` tokens in total.

    The prompt is cut first, down to a quarter of the limit; then the response loses its end.
    """
    if limit is None or len(prompt) + len(response) <= limit:
        return list(prompt), list(response)
    shortened = cut_prompt(prompt, max(limit - len(response), limit // 4, 1))
    return shortened, list(response[: limit - len(shortened)])
