"""Secure aggregation as the coordinator sees it: it names the sum, and adds up what it cannot read."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from clues.collaboration import protocol
from clues.collaboration.asking import Answer
from clues.collaboration.privacy.masks import unmask
from clues.collaboration.protocol import Masks, TrainAnswer
from clues.collaboration.run import Run
from clues.errors import ProtocolError
from clues.models.adapters import AdapterState


def masked_sum(
    run: Run,
    question: protocol.Train,
    weights: Mapping[str, float],
    *,
    initial: AdapterState | None = None,
    like: Mapping[str, Tensor] | None = None,
) -> AdapterState:
    """The weighted mean of the clients' adapters. If a client is lost, the others are asked for another sum.

    Args:
        initial: the adapter that is sent. like: the names and shapes of what is summed; by default, the adapter's.

    Raises:
        ProtocolError: too few clients are left, or the masks do not cancel.
    """
    expected = {name: tensor.shape for name, tensor in (like or run.initial).items()}

    def wrong(answer: Answer[TrainAnswer]) -> str | None:
        shapes = {name: t.shape for name, t in answer.arrays.items() if name in expected}
        whole = shapes == expected and all(t.dtype == torch.int32 for t in answer.arrays.values())
        return None if whole else "it is no masked adapter of these terms"

    arrays = protocol.to_wire(initial, run.terms) if initial else None
    while True:
        masks = _masks(run, weights, number=question.round)
        asked = question.model_copy(update={"masks": masks})
        answers = run.clients.ask("train", asked, TrainAnswer, arrays=arrays, check=wrong)
        if answers.keys() == masks.weights.keys():
            clipped = {client: answer.facts.clipped for client, answer in answers.items() if answer.facts.clipped}
            if clipped:
                run.reports.setdefault("clipped_by_masks", []).append({"arm": question.arm, **clipped})
            return unmask({c: dict(answer.arrays) for c, answer in answers.items()}, masks.plan(run.job, asked.request))


def shares_of(run: Run, weights: Mapping[str, float]) -> dict[str, float]:
    """The weights of the clients that are present, divided by their sum."""
    present = {client: weights[client] for client in run.present}
    return {client: weight / sum(present.values()) for client, weight in present.items()}


def _masks(run: Run, weights: Mapping[str, float], *, number: int) -> Masks:
    """The sum of the clients that are present. Its id changes with them."""
    keys = {client: member.mask_key for client, member in run.present.items() if member.mask_key}
    if keys.keys() != run.present.keys():
        raise ProtocolError(f"privacy.masks: {', '.join(run.present.keys() - keys.keys())} sent no key; it needs one.")
    name = f"round {number} without {len(run.clients.absent)} clients"
    present = {client: weights[client] for client in run.present}
    return Masks(round=name, weights=present, limit=run.terms.privacy.masks_limit, keys=keys)
