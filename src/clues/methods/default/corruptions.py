"""Damaged copies of public samples: what a response looks like that is not good, learnt without a private one.

The copies are made of tokens, so that they need no language and no format, and in general ways: a response
breaks off, has holes, answers something else, is out of order, or holds tokens that do not belong there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

from clues.data.prompts import Tokens

Body = list[int]
# (response without its end token, the lost share, response tokens of other samples, randomness) → response
Way = Callable[[Body, float, list[Body], random.Random], Body]


def damaged(samples: Sequence[Tokens], copies: int, seed: int = 0) -> dict[str, list[Tokens]]:
    """`copies` damaged copies of every sample, by way; the ways are taken in turn.

    From 30 to 70 % of a response is lost. The end token stays where it was: at the end. Others' tokens come from
    samples of the same domain. A response that is too short to be damaged in a way is damaged in the next; one that
    no way changes has no copies.
    """
    rng = random.Random(seed)
    names = list(WAYS)
    made: dict[str, list[Tokens]] = {name: [] for name in names}
    for row, sample in enumerate(samples):
        others = [_body(s) for s in samples if s.domain == sample.domain and s.id != sample.id]
        prompt, end = sample.input_ids[: sample.response_start], sample.response[len(_body(sample)) :]
        for copy in range(copies):
            first = (row * copies + copy) % len(names)
            for name in names[first:] + names[:first]:
                body = WAYS[name](_body(sample), rng.uniform(0.3, 0.7), others or [_body(sample)], rng)
                if body == _body(sample):
                    continue
                ids = [*prompt, *_bounded(body, sample.limit, len(prompt) + len(end)), *end]
                made[name].append(replace(sample, id=f"{sample.id}, damaged {copy + 1}", input_ids=ids))
                break
    return made


def _body(sample: Tokens) -> Body:
    """The response without its end token."""
    return sample.response[:-1] if sample.ends else sample.response


def _bounded(body: Body, limit: int | None, other: int) -> Body:
    """The response cut to what is left of the limit beside `other` tokens."""
    return body if limit is None else body[: max(1, limit - other)]


def _cut(body: Body, lost: float, others: list[Body], rng: random.Random) -> Body:
    return body[: _left(body, lost)]


def _delete(body: Body, lost: float, others: list[Body], rng: random.Random) -> Body:
    return [body[position] for position in sorted(rng.sample(range(len(body)), _left(body, lost)))]


def _exchange(body: Body, lost: float, others: list[Body], rng: random.Random) -> Body:
    return rng.choice(others)


def _shuffle(body: Body, lost: float, others: list[Body], rng: random.Random) -> Body:
    chosen = rng.sample(range(len(body)), max(min(2, len(body)), len(body) - _left(body, lost)))
    moved = dict(zip(chosen, chosen[1:] + chosen[:1], strict=True))  # in a ring: every one of them moves
    return [body[moved.get(position, position)] for position in range(len(body))]


def _replace(body: Body, lost: float, others: list[Body], rng: random.Random) -> Body:
    words = [token for other in others for token in other] or body
    chosen = set(rng.sample(range(len(body)), len(body) - _left(body, lost)))
    return [rng.choice(words) if position in chosen else token for position, token in enumerate(body)]


def _left(body: Body, lost: float) -> int:
    return min(len(body), max(1, round(len(body) * (1 - lost))))


WAYS: dict[str, Way] = {
    "cut": _cut,
    "delete": _delete,
    "exchange": _exchange,
    "shuffle": _shuffle,
    "replace": _replace,
}
