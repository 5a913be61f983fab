"""What a model's likelihood says of a response, beyond its mean loss: features that each see another low quality."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from clues.data.batches import Batch, pad
from clues.data.cutting import cut_pair
from clues.data.tokens import Tokens
from clues.models.base import Base
from clues.models.likelihood import token_losses
from clues.passes.passes import Columns, Passes

LIKELIHOOD = ("loss", "peak", "end", "gain", "peak gain")


def likelihood_features(
    samples: Sequence[Tokens], *, domains: Sequence[str], public: Sequence[Tokens], passes: Passes
) -> Columns:
    """Statistics of a response's token losses under the base model, by name: samples.

    `loss`: the mean of all but the end token. `peak`: the mean of the highest quarter, where holes and foreign tokens
    show. `end`: the loss of the last token; a response that breaks off is not expected to end (where there is no end
    token it says nothing). `gain`: how much lower the loss is than after another prompt, and `peak gain`: how much
    lower that of one token is at most; the name of what was asked for is expected in a response to that prompt alone.

    Args:
        domains: the domain of each sample. public: the samples whose prompts are the other ones (`after_other_prompt`).
    """
    base = passes.base
    prompts = [p.input_ids[: p.response_start] for p in public]

    def compute(batch: Batch) -> Columns:
        own = [replace(samples[row], domain=domains[row], earlier=()) for row in batch.rows]
        others = [after_other_prompt(sample, public, prompts) for sample in own]
        given, swapped = _losses(base, pad(own, batch.rows)), _losses(base, pad(others))
        ends = [sample.ends for sample in own]
        statistics = torch.stack([_statistics(*row) for row in zip(given, swapped, ends, strict=True)], dim=1)
        return dict(zip(LIKELIHOOD, statistics, strict=True))

    inputs = ["likelihood", list(domains), list(public)]
    with torch.no_grad():
        return passes.over(samples, compute, inputs=inputs, what="likelihood under the base model")


def _losses(base: Base, batch: Batch) -> list[Tensor]:
    """The losses of every sample's response tokens, in reading order."""
    moved = batch.to(base.device)
    rows, losses = token_losses(base.model, moved.input_ids, moved.attention_mask, moved.labels)
    return list(losses.split(torch.bincount(rows, minlength=len(batch.rows)).tolist()))


def _statistics(given: Tensor, swapped: Tensor, ends: bool) -> Tensor:
    highest = given.topk(max(1, len(given) // 4)).values
    body = given[:-1] if ends and len(given) > 1 else given
    # After a longer prompt the response may be cut: what both have is compared.
    both = min(len(body), len(swapped))
    gains = swapped[:both] - body[:both]
    return torch.stack([body.mean(), highest.mean(), given[-1], gains.mean(), gains.max()])


def after_other_prompt(sample: Tokens, public: Sequence[Tokens], prompts: Sequence[list[int]]) -> Tokens:
    """The response after the prompt of a public sample that is not its own, of its domain where there is one.

    Args:
        prompts: those of the public samples.
    """
    own = sample.input_ids[: sample.response_start]
    others = [p for p, prompt in zip(public, prompts, strict=True) if prompt != own]
    of_domain = [p for p in others if p.domain == sample.domain] or others or list(public)
    other = random.Random(f"0 {sample.id}").choice(of_domain)
    prompt, response = cut_pair(other.input_ids[: other.response_start], sample.response, sample.limit)
    return replace(sample, input_ids=[*prompt, *response], response_start=len(prompt), earlier=())
