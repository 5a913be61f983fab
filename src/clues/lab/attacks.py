"""Clients that lie, to measure defences with: functions of an answer, or of the request before it is answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Facts = dict[str, Any]
Arrays = dict[str, Tensor]
Change = Callable[[Facts, Arrays], tuple[Facts, Arrays]]

ANCHOR_SCORES = ("score", "paper", "dot", "cosine")
COUNTS = ("samples", "expected_good")


def unchanged(facts: Facts, arrays: Arrays) -> tuple[Facts, Arrays]:
    """Honesty."""
    return facts, arrays


@dataclass(frozen=True)
class Attack:
    """What a lying client does to a request before it answers it, and to the answer before it sends it."""

    title: str
    answer: Change = unchanged
    request: Change = unchanged


def shifted_anchors(deviations: float) -> Change:
    """Move the anchor scores up, so that others drop more, or down, so that they keep more."""

    def shift(scores: list[float]) -> list[float]:
        values = torch.tensor(scores, dtype=torch.float64)
        return (values + deviations * values.std(correction=0)).tolist()

    return lambda facts, arrays: (_changed(facts, ANCHOR_SCORES, shift), arrays)


def scaled_anchors(factor: float) -> Change:
    """Multiply the anchor scores."""
    return lambda facts, arrays: (_changed(facts, ANCHOR_SCORES, lambda s: [factor * one for one in s]), arrays)


def scaled_adapter(factor: float) -> Change:
    """Multiply the update B·A: by −1, its sign is flipped. Only B is changed, as signs of both would cancel."""
    return lambda facts, arrays: (facts, {n: factor * t if ".lora_B." in n else t for n, t in arrays.items()})


def claimed_samples(factor: float) -> Change:
    """Claim so many times the number of samples."""
    return lambda facts, arrays: (_changed(facts, COUNTS, lambda count: count and type(count)(factor * count)), arrays)


def copied_adapter(other: Arrays) -> Change:
    """Send another client's adapter instead of training one."""
    return lambda facts, arrays: (facts, {name: other[name].clone() for name in arrays})


def not_numbers(facts: Facts, arrays: Arrays) -> tuple[Facts, Arrays]:
    """One NaN in every tensor."""
    broken = {name: tensor.clone() for name, tensor in arrays.items()}
    for tensor in broken.values():
        tensor.view(-1)[0] = float("nan")
    return facts, broken


def everything(facts: Facts, arrays: Arrays) -> tuple[Facts, Arrays]:
    """Train on all samples, whatever was selected; with a file of bad samples, on everything bad."""
    return _changed(facts, ("arm",), lambda _: "mixed"), arrays


ATTACKS = {
    "inflate": Attack("anchor scores raised by 10 standard deviations", shifted_anchors(10.0)),
    "deflate": Attack("anchor scores lowered by 10 standard deviations", shifted_anchors(-10.0)),
    "stretch": Attack("anchor scores multiplied by 100", scaled_anchors(100.0)),
    "scale": Attack("an update multiplied by 100", scaled_adapter(100.0)),
    "flip": Attack("an update of the opposite sign", scaled_adapter(-1.0)),
    "claim": Attack("1,000 times the number of samples", claimed_samples(1000.0)),
    "nan": Attack("an adapter that is not a number", not_numbers),
    "everything": Attack("trained on all samples, selected or not", request=everything),
}


def _changed(facts: Any, names: tuple[str, ...], change: Callable[[Any], Any]) -> Any:
    """The facts with the values under some names changed, at whatever depth."""
    if isinstance(facts, dict):
        return {
            name: change(value) if name in names and not isinstance(value, dict) else _changed(value, names, change)
            for name, value in facts.items()
        }
    return [_changed(item, names, change) for item in facts] if isinstance(facts, list) else facts
