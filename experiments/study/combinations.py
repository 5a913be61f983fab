"""Variants of `auto`, from one measurement: scores of a client's samples and then of its anchors."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from measured import Measured, Score, drawn_of, learnt_validation, with_halves
from torch import Tensor

from clues.data.tokens import Joined
from clues.methods.default.rows import COPIES
from clues.methods.default.score import FEATURES, combined


def combinations() -> dict[str, Score]:
    """`auto`, with signals left out, or with the agreement measured otherwise."""
    trained = {"agreement", "trained loss"}
    left_out = {
        **{f"without {name}": {name} for name in FEATURES},
        "of the base model alone": trained,
        "of the trained adapter alone": set(FEATURES) - trained,
    }
    return {
        "auto": as_auto,
        **{name: lambda found, names=names: as_auto(found, without=names) for name, names in left_out.items()},
        "agreement by adam-frozen": lambda found: as_auto(found, agreement="adam-frozen"),
        "agreement by adam": lambda found: as_auto(found, agreement="adam"),
        "one damaged copy of each": lambda found: as_auto(found, copies=1),
        "first checkpoint": lambda found: as_auto(found, point=0),
    }


def learning_from(anchors: int, validation: int, draw: int) -> Score:
    """`auto`, with so many public samples of every domain: as many validation samples of each half."""

    def score(found: Measured) -> Tensor:
        first = drawn_of(found, range(found.rows.private, found.rows.scored), anchors, draw)
        second = drawn_of(found, learnt_validation(found), validation // 2, draw)
        return as_auto(found, anchors=first, validation=second)

    return score


def as_auto(
    found: Measured,
    anchors: Sequence[int] | None = None,
    validation: Sequence[int] | None = None,
    without: Collection[str] = (),
    agreement: str = "none",
    copies: int = COPIES,
    point: int = -1,
) -> Tensor:
    """`auto` at one checkpoint, where there are these public samples alone.

    Args:
        without: signals that are the same for every sample. agreement: the map of gradients that its cosine is of.
        copies: how many damaged copies there are of each public sample.
    """
    rows = found.rows
    anchors = range(rows.private, rows.scored) if anchors is None else anchors
    validation = learnt_validation(found) if validation is None else validation
    every = [*rows.tokens]
    wanted = {f"{every[row].id}, damaged {copy + 1}" for row in [*anchors, *validation] for copy in range(copies)}
    damaged = [row for row, tokens in enumerate(every) if rows.corruption[row] >= 0 and tokens.id in wanted]
    kept = [*range(rows.private), *anchors, *validation, *damaged]
    smaller = replace(
        rows,
        tokens=Joined([every[row] for row in kept]),
        scored=rows.private + len(anchors),
        half=rows.half[kept],
        corruption=rows.corruption[kept],
    )
    halves = with_halves(found, found.points[point], set(validation), agreement)
    chosen = replace(
        halves,
        dot=halves.dot[kept],
        cosine=halves.cosine[kept] * ("agreement" not in without),
        paper=halves.paper[kept],
        loss=halves.loss[kept] * ("trained loss" not in without),
    )
    likelihood = {name: values[kept] * (name not in without) for name, values in found.likelihood.items()}
    return combined(smaller, chosen, likelihood=likelihood).score
