"""The features of the default score. Each compares a sample with clean public ones; a higher value is better.

- agreement: the cosine of a sample's gradient with the validation gradient of its domain (CLUES, arXiv 2507.03004).
- likeness: the cosine of hidden states, averaged over the response, with those of the domain's clean samples. It is low
  for refusals, page residue and other text that is unlike good answers.
- ending: the same at the token that closes the response. It is low where a response breaks off.
- relevance: the share of the response's loss that the prompt takes away (1 − IFD, arXiv 2308.12032). It is low for an
  answer to something else.
- typicality: how near the response's loss is to that of clean samples. It is low for text that is hard to predict, such
  as one with missing words, and for text that is too easy to predict, such as a loop or a repeated prompt.

Clean samples are the validation samples and the anchors. Each is compared with the others, or it would look better than
a private sample can.

Hidden states are those of a layer at two thirds of the model's depth, less their mean over private and clean samples:
what all samples share, such as the template, would dominate the cosine. The more the states of prompts vary in a
direction, the less it counts: what a sample is about is no matter of quality, and a client may hold one part of a
field.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from clues.data.batches import IGNORED, Batch
from clues.data.tokens import Joined, Picked, TokenTable
from clues.methods.ifd import without_prompts
from clues.methods.interface import Job
from clues.models.likelihood import sample_losses
from clues.passes.agreement import Agreement
from clues.passes.hidden import decoder_layers, hidden_states
from clues.passes.losses import response_losses
from clues.passes.passes import Columns, Passes

DEPTH = 2 / 3  # of the layer whose hidden states are compared
REFERENCE = 512  # private samples whose hidden states are the reference for all
_COMPARED = {"likeness": "mean", "ending": "last"}  # the state that each of these features compares


@dataclass(frozen=True)
class _Target:
    """What hidden states are compared with.

    `centre`: width. `counts`: what each direction counts, width × width. `means`: of clean samples, domains × width.
    """

    centre: Tensor
    counts: Tensor
    means: Tensor

    def cosines(self, states: Tensor) -> Tensor:
        """samples × width → samples × domains."""
        return self._compared(states) @ self._compared(self.means).T

    def cosines_with(self, means: Tensor, states: Tensor) -> Tensor:
        """Of each sample with a mean of its own; both samples × width → samples."""
        return (self._compared(states) * self._compared(means)).sum(1)

    def _compared(self, states: Tensor) -> Tensor:
        return normalize((states - self.centre) @ self.counts, dim=1)


def samples_of(job: Job) -> Joined:
    """The samples that have features: the private ones, then the clean ones, anchors before validation samples."""
    return Joined(job.private, job.public.anchors, job.public.validation)


def features(job: Job, gradients: Agreement[str], *, passes: Passes) -> tuple[Tensor, Tensor]:
    """Every feature of the samples of `samples_of`, with respect to a validation domain.

    Returns:
        Features, samples × `FEATURES`, NaN where a feature has no meaning; and the domain compared with, an index into
        `gradients.groups`: samples.
    """
    samples, shown = samples_of(job), len(job.scored)
    cosines = gradients.cosine[:, 1:]
    domains = nearest_domains(samples, gradients.groups, cosines=cosines)
    agreement = torch.cat([cosines[:shown], gradients.others[shown:]])
    states = _states(job, gradients.groups, passes=passes)
    relevance = 1 - states["loss"] / response_losses(without_prompts(samples, job.base), passes)
    # The last token says nothing where we cut the response, or where there is no end token.
    states["ending"][~torch.from_numpy(samples.ends)] = torch.nan
    compared = (agreement, states["likeness"], states["ending"], states["typicality"])
    agreement, likeness, ending, typicality = (part.gather(1, domains[:, None])[:, 0] for part in compared)
    return torch.stack([agreement, likeness, ending, relevance, typicality], dim=1), domains


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


def _states(job: Job, domains: Sequence[str], *, passes: Passes) -> Columns:
    """Likeness, ending and typicality, samples × domains; and `loss`, the mean over the response, samples.

    The hidden states of at most `REFERENCE` private samples are in memory at once. Of larger clients, all samples are
    then compared batch by batch.
    """
    private, clean = job.private, Joined(job.public.anchors, job.public.validation)
    rows = sorted(random.Random(0).sample(range(len(private)), min(len(private), REFERENCE)))
    seen = _over(Joined(Picked(private, rows), clean), passes, targets={}, what="hidden states")
    counts = _inverse_of_variance(seen["prompt"])
    member = torch.tensor([[sample.domain == domain for domain in domains] for sample in clean])
    targets = {
        name: _Target(seen[state].mean(0), counts, _means(seen[state][len(rows) :], member))
        for name, state in _COMPARED.items()
    }
    if len(rows) == len(private):
        own = {name: target.cosines(seen[_COMPARED[name]][: len(rows)]) for name, target in targets.items()}
        own["loss"] = seen["loss"][: len(rows)]
    else:
        own = _over(private, passes, targets=targets, what="hidden states of all samples")
    shown = {name: column[len(rows) :] for name, column in seen.items()}
    own["typicality"] = -(own["loss"][:, None] - _means(shown["loss"][:, None], member).T).abs()
    for name, target in targets.items():
        states = shown[_COMPARED[name]]
        others = (_means_of_others(states, inside) for inside in member.T)
        shown[name] = torch.stack([target.cosines_with(means, states) for means in others], dim=1)
    expected = [_means_of_others(shown["loss"][:, None], inside) for inside in member.T]
    shown["typicality"] = -(shown["loss"][:, None] - torch.cat(expected, dim=1)).abs()
    return {name: torch.cat([own[name], shown[name]]) for name in own}


def _means(values: Tensor, member: Tensor) -> Tensor:
    """Of each domain's samples. `values`: samples × width; `member`: samples × domains. Returns domains × width."""
    return member.T.to(values) @ values / member.sum(0)[:, None]


def _means_of_others(values: Tensor, inside: Tensor) -> Tensor:
    """The mean over a domain's samples, for each of them without itself; NaN where none is left: samples × width.

    Args:
        values: samples × width. inside: whether a sample is of the domain: samples.
    """
    others = (inside.sum() - inside.long())[:, None]
    means = (values[inside].sum(0) - inside[:, None] * values) / others
    return torch.where(others > 0, means, torch.nan)


def _inverse_of_variance(prompts: Tensor) -> Tensor:
    """(I + C / the mean variance of a direction)⁻¹, where C is the covariance of prompts: width × width."""
    covariance = torch.cov(prompts.T)
    mean = covariance.diag().mean().clamp(min=torch.finfo(torch.float32).tiny)
    return torch.linalg.inv(torch.eye(len(covariance)) + covariance / mean)


def _over(samples: TokenTable | Joined, passes: Passes, *, targets: Mapping[str, _Target], what: str) -> Columns:
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
            "mean": _span_means(collected[0], starts, lengths - (ends & (lengths - starts > 1))),
            "last": collected[0][torch.arange(len(lengths)), torch.from_numpy(lengths - 1)],
        }
        if not targets:
            found["prompt"] = _span_means(collected[0], np.zeros_like(starts), np.maximum(starts, 1))
        states = {name: state.float().cpu() for name, state in found.items()}
        cosines = {name: target.cosines(states[_COMPARED[name]]) for name, target in targets.items()}
        return (cosines or states) | {"loss": losses}

    with torch.no_grad():
        return passes.over(samples, compute, inputs=["hidden states", layer, *targets.values()], what=what)


def _last_responses(batch: Batch, starts: np.ndarray) -> Batch:
    """The batch with the loss on the last responses only, which begin at `starts`."""
    before = torch.arange(batch.labels.shape[1]) < torch.from_numpy(starts)[:, None]
    return replace(batch, labels=batch.labels.masked_fill(before, IGNORED))


def _span_means(states: Tensor, starts: np.ndarray, ends: np.ndarray) -> Tensor:
    """The mean of each sample's states from `starts` to `ends`: batch × tokens × width → batch × width."""
    spans = zip(states, starts.tolist(), ends.tolist(), strict=True)
    return torch.stack([state[start:end].mean(0) for state, start, end in spans])
