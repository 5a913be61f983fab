"""Features from a model's likelihood of a response: each shows another kind of low quality."""

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

    `loss`: the mean over all tokens but the end token. `peak`: the mean of the highest quarter, which missing and
    foreign tokens raise. `end`: the loss of the last token, high where a response breaks off (meaningless without an
    end token). `gain`: the mean decrease of the loss compared with another prompt, and `peak gain`: the largest
    decrease of a single token, such as the name of what only this prompt asks for.

    Args:
        domains: the domain of each sample. public: samples that supply the other prompts (`after_other_prompt`).
    """
    base = passes.base
    prompts = [p.input_ids[: p.response_start] for p in public]

    def compute(batch: Batch) -> Columns:
        originals = [replace(samples[row], domain=domains[row], earlier=()) for row in batch.rows]
        others = [after_other_prompt(sample, public, prompts=prompts) for sample in originals]
        losses = zip(_losses(base, pad(originals, batch.rows)), _losses(base, pad(others)), strict=True)
        pairs = zip(originals, losses, strict=True)
        statistics = torch.stack([_statistics(*pair, ends=sample.ends) for sample, pair in pairs], dim=1)
        return dict(zip(LIKELIHOOD, statistics, strict=True))

    inputs = ["likelihood", list(domains), list(public)]
    with torch.no_grad():
        return passes.over(samples, compute, inputs=inputs, what="likelihood under the base model")


def _losses(base: Base, batch: Batch) -> list[Tensor]:
    """The losses of every sample's response tokens, in reading order."""
    on_device = batch.to(base.device)
    rows, losses = token_losses(base.model, on_device.input_ids, on_device.attention_mask, on_device.labels)
    return list(losses.split(torch.bincount(rows, minlength=len(batch.rows)).tolist()))


def _statistics(losses: Tensor, swapped: Tensor, *, ends: bool) -> Tensor:
    highest = losses.topk(max(1, len(losses) // 4)).values
    body = losses[:-1] if ends and len(losses) > 1 else losses
    # The response may be cut after a longer prompt; only the common tokens are compared.
    common = min(len(body), len(swapped))
    gains = swapped[:common] - body[:common]
    return torch.stack([body.mean(), highest.mean(), losses[-1], gains.mean(), gains.max()])


def after_other_prompt(sample: Tokens, public: Sequence[Tokens], *, prompts: Sequence[list[int]]) -> Tokens:
    """The response after a different prompt, taken from a public sample, of the same domain where there is one.

    Args:
        prompts: those of the public samples.
    """
    original = sample.input_ids[: sample.response_start]
    others = [p for p, prompt in zip(public, prompts, strict=True) if prompt != original]
    same_domain = [p for p in others if p.domain == sample.domain]
    other = random.Random(f"0 {sample.id}").choice(same_domain or others or list(public))
    prompt, response = cut_pair(other.input_ids[: other.response_start], sample.response, sample.limit)
    return replace(sample, input_ids=[*prompt, *response], response_start=len(prompt), earlier=())
