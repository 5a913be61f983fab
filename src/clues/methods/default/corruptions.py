"""Corrupted copies of public samples: what a low-quality response looks like, learnt without a private one.

The copies are made of tokens, so that they need no language and no format, and in general ways: a response
breaks off, has holes, answers something else, is out of order, or holds tokens that do not belong there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

from clues.data.tokens import Tokens

Body = list[int]
# (response without its end token, the lost share, response tokens of other samples, randomness) → response
Type = Callable[[Body, float, list[Body], random.Random], Body]


@dataclass(frozen=True)
class Copy:
    """A corrupted copy of the sample in `row`; `kind` is its corruption type."""

    tokens: Tokens
    row: int
    kind: str


def corrupted(
    samples: Sequence[Tokens], copies: int, *, groups: Sequence[Hashable] | None = None, seed: int = 0
) -> list[Copy]:
    """`copies` corrupted copies of every sample; the types are taken in turn.

    From 30 to 70 % of a response is lost. The end token stays where it was: at the end. Others' tokens come from
    samples of the same group. A response that is too short for one type is corrupted by the next; one that no type
    changes has no copies.

    Args:
        groups: of each sample; its domain where they are not given.
    """
    rng, names = random.Random(seed), list(TYPES)
    made: list[Copy] = []
    groups = groups or [sample.domain for sample in samples]
    bodies = [_body(sample) for sample in samples]
    for row, sample in enumerate(samples):
        body = bodies[row]
        others = [bodies[n] for n, s in enumerate(samples) if groups[n] == groups[row] and s.id != sample.id]
        prompt, end = sample.input_ids[: sample.response_start], sample.response[len(body) :]
        for copy in range(copies):
            first = (row * copies + copy) % len(names)
            for name in names[first:] + names[:first]:
                changed = TYPES[name](body, rng.uniform(0.3, 0.7), others or [body], rng)
                if changed == body:
                    continue
                ids = [*prompt, *_bounded(changed, sample.limit, len(prompt) + len(end)), *end]
                # The id seeds what else is drawn for the copy.
                tokens = replace(sample, id=f"{sample.id}, damaged {copy + 1}", input_ids=ids)
                made.append(Copy(tokens, row, name))
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


TYPES: dict[str, Type] = {
    "cut": _cut,
    "delete": _delete,
    "exchange": _exchange,
    "shuffle": _shuffle,
    "replace": _replace,
}
