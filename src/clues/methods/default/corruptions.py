"""Corrupted copies of public samples: examples of low-quality responses that need no private data.

Corruption works on tokens, so that it needs no language and no format, and the types are general: a response breaks
off, lacks tokens, answers something else, is out of order, or contains foreign tokens.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from clues.data.tokens import Tokens

Body = list[int]  # a response without its end token


class Type(Protocol):
    """Corrupts a response: `lost` is the share of it that is lost, `others` are responses of other samples."""

    def __call__(self, body: Body, *, lost: float, others: list[Body], rng: random.Random) -> Body: ...


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

    A copy loses 30 to 70 % of the response and keeps its end token. Foreign tokens come from samples of the same group.
    Where one type leaves a short response unchanged, the next is tried; a sample that no type changes has no copies.

    Args:
        groups: of each sample; by default, its domain.
    """
    rng, names = random.Random(seed), list(TYPES)
    result: list[Copy] = []
    groups = groups or [sample.domain for sample in samples]
    bodies = [_body(sample) for sample in samples]
    for row, sample in enumerate(samples):
        body = bodies[row]
        others = [bodies[n] for n, s in enumerate(samples) if groups[n] == groups[row] and s.id != sample.id]
        prompt, end = sample.input_ids[: sample.response_start], sample.response[len(body) :]
        for copy in range(copies):
            first = (row * copies + copy) % len(names)
            for name in names[first:] + names[:first]:
                changed = TYPES[name](body, lost=rng.uniform(0.3, 0.7), others=others or [body], rng=rng)
                if changed == body:
                    continue
                ids = [*prompt, *_bounded(changed, sample.limit, reserved=len(prompt) + len(end)), *end]
                # The id is the seed of later draws for the copy.
                tokens = replace(sample, id=f"{sample.id}, damaged {copy + 1}", input_ids=ids)
                result.append(Copy(tokens, row, name))
                break
    return result


def _body(sample: Tokens) -> Body:
    """The response without its end token."""
    return sample.response[:-1] if sample.ends else sample.response


def _bounded(body: Body, limit: int | None, *, reserved: int) -> Body:
    """The response, cut so that it fits the limit with `reserved` other tokens."""
    return body if limit is None else body[: max(1, limit - reserved)]


def _cut(body: Body, *, lost: float, others: list[Body], rng: random.Random) -> Body:
    return body[: _left(body, lost)]


def _delete(body: Body, *, lost: float, others: list[Body], rng: random.Random) -> Body:
    return [body[position] for position in sorted(rng.sample(range(len(body)), _left(body, lost)))]


def _exchange(body: Body, *, lost: float, others: list[Body], rng: random.Random) -> Body:
    return rng.choice(others)


def _shuffle(body: Body, *, lost: float, others: list[Body], rng: random.Random) -> Body:
    selected = rng.sample(range(len(body)), max(min(2, len(body)), len(body) - _left(body, lost)))
    sources = dict(zip(selected, selected[1:] + selected[:1], strict=True))  # a cycle, so that each of them moves
    return [body[sources.get(position, position)] for position in range(len(body))]


def _replace(body: Body, *, lost: float, others: list[Body], rng: random.Random) -> Body:
    words = [token for other in others for token in other] or body
    selected = set(rng.sample(range(len(body)), len(body) - _left(body, lost)))
    return [rng.choice(words) if position in selected else token for position, token in enumerate(body)]


def _left(body: Body, lost: float) -> int:
    return min(len(body), max(1, round(len(body) * (1 - lost))))


TYPES: dict[str, Type] = {
    "cut": _cut,
    "delete": _delete,
    "exchange": _exchange,
    "shuffle": _shuffle,
    "replace": _replace,
}
