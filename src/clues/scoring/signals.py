"""What a model's likelihood says of a response, beyond its mean loss: signals that each see another damage."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from clues.config import ScoringSettings
from clues.data.batches import tracked_batches
from clues.data.prompts import Tokens
from clues.models.likelihood import token_losses

SIGNALS = ("loss", "peak", "end")


def likelihood_signals(
    model: Any, samples: Sequence[Tokens], settings: ScoringSettings, what: str
) -> dict[str, Tensor]:
    """Three readings of a response's token losses, by name: samples.

    `loss`: their mean. `peak`: the mean of the highest quarter; holes and foreign tokens show there. `end`: the
    loss of the last token; a response that breaks off is not expected to end.
    """
    found = torch.zeros(len(SIGNALS), len(samples))
    device = next(model.parameters()).device
    with torch.no_grad():
        for batch in tracked_batches(samples, settings.batch_size, settings.batch_tokens, what):
            moved = batch.to(device)
            rows, losses = token_losses(model, moved.input_ids, moved.attention_mask, moved.labels)
            for position, row in enumerate(batch.rows):
                own = losses[rows == position]
                highest = own.topk(max(1, len(own) // 4)).values
                found[:, row] = torch.stack([own.mean(), highest.mean(), own[-1]]).cpu()
    return dict(zip(SIGNALS, found, strict=True))


def with_other_prompts(samples: Sequence[Tokens], public: Sequence[Tokens], seed: int = 0) -> list[Tokens]:
    """Every response after the prompt of a public sample that is not its own, of its domain where there is one."""
    moved = []
    for sample in samples:
        prompt = sample.input_ids[: sample.response_start]
        strange = [p for p in public if p.input_ids[: p.response_start] != prompt]
        near = [p for p in strange if p.domain == sample.domain] or strange or list(public)
        other = random.Random(f"{seed} {sample.id}").choice(near)
        ids = [*other.input_ids[: other.response_start], *sample.input_ids[sample.response_start :]]
        moved.append(replace(sample, input_ids=ids, response_start=other.response_start))
    return moved
