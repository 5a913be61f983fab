"""What a model's likelihood says of a response, beyond its mean loss: signals that each see another damage."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clues.data.batches import Batch, pad
from clues.data.cutting import cut_pair
from clues.data.prompts import Tokens
from clues.methods.clues import Columns, Remember, remembered_batches
from clues.models.base import Base
from clues.models.likelihood import token_losses
from clues.settings import ScoringSettings

SIGNALS = ("loss", "peak", "end", "gain", "peak gain")


def likelihood_signals(
    base: Base, samples: Sequence[Tokens], others: Sequence[Tokens], settings: ScoringSettings, remember: Remember
) -> Columns:
    """Readings of a response's token losses under the base model, by name: samples.

    `loss`: the mean of all but the end token. `peak`: the mean of the highest quarter, where holes and foreign tokens
    show. `end`: the loss of the last token; a response that breaks off is not expected to end (where there is no end
    token it says nothing). `gain`: how much lower the loss is than after another prompt, and `peak gain`: how much
    lower that of one token is at most; the name of what was asked for is expected in a response to that prompt alone.

    Args:
        others: the samples' responses after other prompts (`with_other_prompts`).
    """
    samples = [replace(sample, earlier=()) for sample in samples]

    def compute(batch: Batch) -> Columns:
        own, other = _losses(base, batch), _losses(base, pad([others[row] for row in batch.rows]))
        ends = [samples[row].ends for row in batch.rows]
        readings = torch.stack([_readings(*row) for row in zip(own, other, ends, strict=True)], dim=1).cpu()
        return {"row": torch.tensor(batch.rows), **dict(zip(SIGNALS, readings, strict=True))}

    found = {signal: torch.zeros(len(samples)) for signal in SIGNALS}
    what = "likelihood under the base model"
    with torch.no_grad():
        for part in remembered_batches(remember, "likelihood", compute, samples, settings, what):
            for signal in SIGNALS:
                found[signal][part["row"]] = part[signal]
    return found


def _losses(base: Base, batch: Batch) -> list[Tensor]:
    """The losses of every sample's response tokens, in reading order."""
    moved = batch.to(base.device)
    rows, losses = token_losses(base.model, moved.input_ids, moved.attention_mask, moved.labels)
    return [losses[rows == row] for row in range(len(batch.rows))]


def _readings(own: Tensor, other: Tensor, ends: bool) -> Tensor:
    highest = own.topk(max(1, len(own) // 4)).values
    body = own[:-1] if ends and len(own) > 1 else own
    # After a longer prompt the response may be cut: what both have is compared.
    both = min(len(body), len(other))
    gains = other[:both] - body[:both]
    return torch.stack([body.mean(), highest.mean(), own[-1], gains.mean(), gains.max()])


def with_other_prompts(samples: Sequence[Tokens], public: Sequence[Tokens], seed: int = 0) -> list[Tokens]:
    """Every response after the prompt of a public sample that is not its own, of its domain where there is one."""
    prompts = [p.input_ids[: p.response_start] for p in public]
    moved = []
    for sample in samples:
        own = sample.input_ids[: sample.response_start]
        strange = [p for p, prompt in zip(public, prompts, strict=True) if prompt != own]
        near = [p for p in strange if p.domain == sample.domain] or strange or list(public)
        other = random.Random(f"{seed} {sample.id}").choice(near)
        prompt, response = cut_pair(other.input_ids[: other.response_start], sample.response, sample.limit)
        ids = [*prompt, *response]
        moved.append(replace(sample, input_ids=ids, response_start=len(prompt), earlier=()))
    return moved
