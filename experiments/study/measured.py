"""What is measured of a client once, and every variant of a gradient score made of: inner products of gradients."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clues.data.tokens import Tokens
from clues.methods.default.rows import Group, Rows
from clues.passes.agreement import Agreement

# By name, the map of a sample's gradient and that of a validation sample's.
MAPS = {
    "none": ("none", "none"),
    "adam-frozen": ("adam-frozen", "adam-frozen"),
    "adam": ("adam", "adam"),
    "adam, samples alone": ("adam", "none"),
}


@dataclass(frozen=True)
class Point:
    """A checkpoint with learning rate `rate`: its rows are the first of `Measured.every`, so its columns of `against`.

    `products`: by map, rows × columns. `squares`: by map, rows: a sample's mapped gradient with itself.
    `tensors`: by tensor of the adapter, its part of the plain products and of the plain squares. `losses`: rows.
    """

    rate: float
    products: dict[str, Tensor]
    squares: dict[str, Tensor]
    tensors: dict[str, tuple[Tensor, Tensor]]
    losses: Tensor


@dataclass(frozen=True)
class Measured:
    """A client.

    `rows`: what `auto` measures. `validation`, `anchors`: further public samples. `kinds`: of each sample of the client
    the kind of its damage, "" of good ones. `likelihood`: by signal, rows.
    """

    rows: Rows
    validation: list[Tokens]
    anchors: list[Tokens]
    kinds: list[str]
    points: list[Point]
    likelihood: dict[str, Tensor]

    @property
    def every(self) -> list[Tokens]:
        return [*self.rows.tokens, *self.validation, *self.anchors]

    @property
    def against(self) -> list[int]:
        """Whose gradients those of all rows are multiplied with: the client's samples and the validation samples."""
        rows, further = self.rows, len(self.rows.tokens)
        learnt = range(rows.scored, int((rows.corruption < 0).sum()))
        return [*range(rows.private), *learnt, *range(further, further + len(self.validation))]


# Scores of a client's samples and then of anchors.
Score = Callable[[Measured], Tensor]


def cosine(found: Measured, products: Tensor, squares: Tensor, chosen: Sequence[int]) -> Tensor:
    """With the mean gradient of the chosen rows: rows.

    Args:
        products: rows × columns. squares: rows. chosen: rows of `found.against`.
    """
    column = {row: place for place, row in enumerate(found.against)}
    columns = [column[row] for row in chosen]
    length = products[list(chosen)][:, columns].mean().clamp(min=0).sqrt()
    return products[:, columns].mean(1) / (squares.sqrt() * length)


def with_halves(
    found: Measured, point: Point, chosen: Collection[int] | None = None, name: str = "none"
) -> Agreement[Group]:
    """The cosine with each half of a domain's validation samples: the rows of `auto`.

    Args:
        chosen: which validation samples there are; all that `auto` learns from where not given. name: the map.
    """
    halves: dict[Group, list[int]] = defaultdict(list)
    for row in learnt_validation(found):
        if chosen is None or row in chosen:
            halves[found.every[row].domain, int(found.rows.half[row])].append(row)
    count = len(found.rows.tokens)
    products, squares = point.products[name][:count], point.squares[name][:count]
    columns = [cosine(found, products, squares, halves[half]) for half in sorted(halves)]
    nothing = torch.zeros(count)
    cosines = torch.stack([nothing, *columns], dim=1)
    losses = point.losses[:count]
    return Agreement(
        groups=sorted(halves), dot=cosines, cosine=cosines, paper=nothing, loss=losses, norm=nothing, parts={}
    )


def learnt_validation(found: Measured) -> list[int]:
    """The rows of the validation samples that `auto` learns from."""
    return [row for row in found.against if found.rows.scored <= row < len(found.rows.tokens)]


def drawn_of(found: Measured, rows: Sequence[int], count: int, draw: int) -> list[int]:
    """So many of the rows of every domain, at random."""
    by_domain: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        by_domain[found.every[row].domain].append(row)
    return sorted(row for part in by_domain.values() for row in random.Random(draw).sample(part, min(count, len(part))))
