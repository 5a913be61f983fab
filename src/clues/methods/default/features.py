"""The features of the default score. Each compares a sample with clean public ones; a higher value is better.

- agreement: the cosine of a sample's gradient with the validation gradient of its domain (CLUES, arXiv 2507.03004).
- likeness: the cosine of hidden states, averaged over the response, with those of the domain's validation samples. It
  is low for refusals, page residue and other text that is unlike good answers.
- ending: the same at the token that closes the response. It is low where a response breaks off.
- relevance: the share of the response's loss that the prompt takes away (1 − IFD, arXiv 2308.12032). It is low for an
  answer to something else.

Hidden states are those of a layer at two thirds of the model's depth, less their mean over private and validation
samples: what all samples share, such as the template, would dominate the cosine. The more the states of prompts vary in
a direction, the less it counts: what a sample is about is no matter of quality, and a client may hold one part of a
field.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from clues.data.batches import IGNORED, Batch
from clues.data.tokens import Joined, Picked
from clues.methods.ifd import without_prompts
from clues.methods.interface import Job
from clues.models.likelihood import sample_losses
from clues.passes.agreement import Agreement
from clues.passes.hidden import decoder_layers, hidden_states
from clues.passes.losses import response_losses
from clues.passes.passes import Columns, Passes

FEATURES = ("agreement", "likeness", "ending", "relevance")
DEPTH = 2 / 3  # of the layer whose hidden states are compared
REFERENCE = 512  # private samples whose hidden states are the reference for all
# What hidden states are compared with: their centre, what each direction counts, and the means of the domains.
_Target = tuple[Tensor, Tensor, Tensor]  # width; width × width; domains × width


def features(job: Job, gradients: Agreement[str], *, passes: Passes) -> tuple[Tensor, Tensor]:
    """Every feature of the private samples and the anchors, with respect to a validation domain.

    Returns:
        Features, samples × `FEATURES`, NaN where a feature has no meaning; and the domain compared with, an index into
        `gradients.groups`: samples.
    """
    cosines = gradients.cosine[:, 1:]
    domains = nearest_domains(job.scored, gradients.groups, cosines=cosines)
    likeness, ending, loss = _states(job, gradients.groups, passes=passes)
    relevance = 1 - loss / response_losses(without_prompts(job), passes)
    ends = torch.from_numpy(job.scored.ends)
    agreement, like, end = (part.gather(1, domains[:, None])[:, 0] for part in (cosines, likeness, ending))
    # The last token says nothing where we cut the response, or where there is no end token.
    return torch.stack([agreement, like, torch.where(ends, end, torch.nan), relevance], dim=1), domains


def nearest_domains(samples: Joined, known: Sequence[str], *, cosines: Tensor) -> Tensor:
    """The validation domain of every sample: its own or, where the validation set lacks that, the most similar one.

    Args:
        known: the validation domains. cosines: of gradients, samples × known domains.
    """
    codes, nearest = torch.from_numpy(samples.domains).long(), []
    for code, name in enumerate(samples.domain_names):
        of_domain = cosines[codes == code]
        nearest.append(known.index(name) if name in known else int(of_domain.mean(0).argmax()))
    return torch.tensor(nearest)[codes]


def _states(job: Job, domains: Sequence[str], *, passes: Passes) -> Iterator[Tensor]:
    """Likeness and ending, samples × domains, and mean response loss, samples; of private samples and anchors.

    The hidden states of at most `REFERENCE` private samples are in memory at once. Of larger clients, all samples are
    then compared batch by batch.
    """
    private, anchors, validation = job.private, job.public.anchors, job.public.validation
    rows = sorted(random.Random(0).sample(range(len(private)), min(len(private), REFERENCE)))
    columns = _over(Joined(Picked(private, rows), anchors, validation), passes, targets={}, what="hidden states")
    seen = torch.tensor([True] * len(rows) + [False] * len(anchors) + [True] * len(validation))
    counts = _inverse_of_variance(columns["prompt"][seen])
    of_domain = [torch.tensor([sample.domain == domain for sample in validation]) for domain in domains]
    targets = {}
    for name in ("mean", "last"):
        means = torch.stack([columns[name][-len(validation) :][inside].mean(0) for inside in of_domain])
        targets[name] = (columns[name][seen].mean(0), counts, means)
    if len(rows) == len(private):
        columns |= {name: _cosines(columns[name], target) for name, target in targets.items()}
    else:
        columns = _over(job.scored, passes, targets=targets, what="hidden states of all samples")
    return (columns[name][: len(job.scored)] for name in ("mean", "last", "loss"))


def _inverse_of_variance(prompts: Tensor) -> Tensor:
    """(I + C / the mean variance of a direction)⁻¹, where C is the covariance of prompts: width × width."""
    covariance = torch.cov(prompts.T)
    mean = covariance.diag().mean().clamp(min=torch.finfo(torch.float32).tiny)
    return torch.linalg.inv(torch.eye(len(covariance)) + covariance / mean)


def _cosines(states: Tensor, target: _Target) -> Tensor:
    """samples × width → samples × domains."""
    centre, counts, means = target
    compared, means = (normalize((part - centre) @ counts, dim=1) for part in (states, means))
    return compared @ means.T


def _over(samples: Joined, passes: Passes, *, targets: Mapping[str, _Target], what: str) -> Columns:
    """Hidden states, or their cosines with `targets`, and the `loss` of each last response.

    `prompt` and `mean` are means over prompt and response, without the end token; `last` is the last token.
    """
    base, columns = passes.base, (samples.starts, samples.lengths, samples.ends)
    layer = round(DEPTH * len(decoder_layers(base.model))) - 1

    def compute(batch: Batch) -> Columns:
        starts, lengths, ends = (column[batch.rows] for column in columns)
        on_device = _last_responses(batch, starts).to(base.device)
        with hidden_states(base.model, layer) as collected:
            losses = sample_losses(base.model, on_device.input_ids, on_device.attention_mask, on_device.labels)
        found = {
            "mean": _means(collected[0], starts, lengths - (ends & (lengths - starts > 1))),
            "last": collected[0][torch.arange(len(lengths)), torch.from_numpy(lengths - 1)],
        }
        if not targets:
            found["prompt"] = _means(collected[0], np.zeros_like(starts), np.maximum(starts, 1))
        states = {name: state.float().cpu() for name, state in found.items()}
        return ({name: _cosines(states[name], t) for name, t in targets.items()} or states) | {"loss": losses}

    with torch.no_grad():
        return passes.over(samples, compute, inputs=["hidden states", layer, *targets.values()], what=what)


def _last_responses(batch: Batch, starts: np.ndarray) -> Batch:
    """The batch with the loss on the last responses only, which begin at `starts`."""
    before = torch.arange(batch.labels.shape[1]) < torch.from_numpy(starts)[:, None]
    return replace(batch, labels=batch.labels.masked_fill(before, IGNORED))


def _means(states: Tensor, starts: np.ndarray, ends: np.ndarray) -> Tensor:
    """The mean of each sample's states from `starts` to `ends`: batch × tokens × width → batch × width."""
    spans = zip(states, starts.tolist(), ends.tolist(), strict=True)
    return torch.stack([state[start:end].mean(0) for state, start, end in spans])
