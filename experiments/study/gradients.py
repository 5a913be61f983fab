"""Variants of the gradient score, from one measurement: scores of a client's samples and then of its anchors."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import torch
from measured import Measured, Point, Score, cosine, drawn_of, learnt_validation
from torch import Tensor


def gradient_scores() -> dict[str, Score]:
    """Variants of the gradient score; what a name does not say is as in the first."""
    tensors: dict[str, Callable[[str, int], bool]] = {
        "first layer": lambda tensor, layers: layer_of(tensor) == 0,
        "first half of layers": lambda tensor, layers: layer_of(tensor) < layers / 2,
        "second half of layers": lambda tensor, layers: layer_of(tensor) >= layers / 2,
        "last layer": lambda tensor, layers: layer_of(tensor) == layers - 1,
        "q_proj": lambda tensor, _: "q_proj" in tensor,
        "v_proj": lambda tensor, _: "v_proj" in tensor,
        "A": lambda tensor, _: "lora_A" in tensor,
        "B": lambda tensor, _: "lora_B" in tensor,
    }
    return {
        "cosine, plain gradients, last checkpoint": lambda found: shaped(found, norm=1.0),
        "inner product": lambda found: shaped(found),
        "inner product / √norm": lambda found: shaped(found, norm=0.5),
        "inner product, sum over tokens": lambda found: shaped(found, length=1.0),
        "cosine · √tokens": lambda found: shaped(found, norm=1.0, length=0.5),
        "cosine / √tokens": lambda found: shaped(found, norm=1.0, length=-0.5),
        **{name: lambda found, name=name: mapped(found, name) for name in ("adam-frozen", "adam")},
        "adam, samples alone (LESS)": lambda found: mapped(found, "adam, samples alone"),
        "minus the mean of own gradients": contrasted,
        "first checkpoint": lambda found: at_points(found, found.points[:1]),
        "second checkpoint": lambda found: at_points(found, found.points[1:2]),
        "three checkpoints": lambda found: at_points(found, found.points),
        **{f"{name} alone": lambda found, chosen=chosen: part(found, chosen) for name, chosen in tensors.items()},
    }


def shaped(found: Measured, norm: float = 0.0, length: float = 0.0) -> Tensor:
    """⟨g, v⟩ · tokens^length / ‖g‖^norm at the last checkpoint."""
    size = found.points[-1].squares["none"].sqrt()
    tokens = torch.tensor([float(tokens.response_tokens) for tokens in found.every])
    return (at_last(found) * size * tokens**length / size**norm)[: found.rows.scored]


def mapped(found: Measured, name: str) -> Tensor:
    return at_last(found, name)[: found.rows.scored]


def at_last(found: Measured, name: str = "none", chosen: Sequence[int] | None = None) -> Tensor:
    """The cosine at the last checkpoint, by a map of gradients, with the chosen validation samples: all rows."""
    point = found.points[-1]
    public = learnt_validation(found) if chosen is None else chosen
    return cosine(found, point.products[name], point.squares[name], public)


def contrasted(found: Measured) -> Tensor:
    """⟨g, v − ḡ⟩ / ‖g‖, with ḡ the mean gradient of the client's own samples."""
    point, count = found.points[-1], found.rows.scored
    samples, learnt = found.rows.private, len(learnt_validation(found))
    own, public, _ = point.products["none"][:count].tensor_split([samples, samples + learnt], dim=1)
    return (public.mean(1) - own.mean(1)) / point.squares["none"][:count].sqrt()


def at_points(found: Measured, points: Sequence[Point]) -> Tensor:
    """The mean of the cosines over checkpoints, weighed by their learning rates."""
    rates = sum(point.rate for point in points)
    count, chosen = len(found.rows.tokens), learnt_validation(found)
    parts = [
        point.rate / rates * cosine(found, point.products["none"][:count], point.squares["none"][:count], chosen)
        for point in points
    ]
    return torch.stack(parts).sum(0)[: found.rows.scored]


def part(found: Measured, chosen: Callable[[str, int], bool]) -> Tensor:
    """The cosine over the tensors of the adapter that are chosen by their names and the number of layers."""
    tensors = found.points[-1].tensors
    layers = 1 + max(map(layer_of, tensors))
    parts = [value for tensor, value in tensors.items() if chosen(tensor, layers)]
    products, squares = (torch.stack(values).sum(0) for values in zip(*parts, strict=True))
    return cosine(found, products, squares, learnt_validation(found))[: found.rows.scored]


def layer_of(tensor: str) -> int:
    return int(tensor.split(".layers.")[1].split(".")[0])


def by_validation(size: int, draw: int) -> Score:
    def score(found: Measured) -> Tensor:
        public = found.against[found.rows.private :]
        chosen = random.Random(draw).sample(public, min(size, len(public)))
        return at_last(found, chosen=chosen)[: found.rows.scored]

    return score


def with_anchors(count: int, draw: int) -> Score:
    """The cosine, and of all anchors so many of every domain."""

    def score(found: Measured) -> Tensor:
        samples, further = found.rows.private, len(found.rows.tokens) + len(found.validation)
        anchors = [*range(samples, found.rows.scored), *range(further, further + len(found.anchors))]
        return at_last(found)[[*range(samples), *drawn_of(found, anchors, count, draw)]]

    return score
