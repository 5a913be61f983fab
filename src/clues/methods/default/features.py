"""The features of the default score. Each compares a sample with clean public ones; a higher value is better.

- agreement: the cosine of a sample's gradient with the validation gradient of its domain (CLUES, arXiv 2507.03004).
- likeness: the cosine of hidden states, averaged over the response, with those of the domain's validation samples. It
  is low for refusals, page residue and other text that is unlike good answers.
- ending: the same at the token that closes the response. It is low where a response breaks off.
- relevance: how much the prompt lowers the response's loss (IRA, FedDQC, arXiv 2410.11540). It is low for an answer to
  something else.

Hidden states are those of a layer at two thirds of the model's depth, less their mean over private and validation
samples: what all samples share, such as the template, would dominate the cosine.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import normalize

from clues.data.batches import Batch, pad
from clues.data.tokens import Joined, Picked, Tokens
from clues.methods.ifd import without_prompts
from clues.methods.interface import Job
from clues.models.likelihood import sample_losses
from clues.passes.agreement import Agreement
from clues.passes.hidden import decoder_layers, hidden_states
from clues.passes.losses import response_losses
from clues.passes.passes import Columns, Passes

FEATURES = ("agreement", "likeness", "ending", "relevance")
DEPTH = 2 / 3  # of the layer whose hidden states are compared
REFERENCE = 512  # private samples that the mean of hidden states is taken over


def features(job: Job, gradients: Agreement[str], *, passes: Passes) -> tuple[Tensor, Tensor]:
    """Every feature of the private samples and the anchors, with respect to a validation domain.

    Returns:
        Features, samples × `FEATURES`, NaN where a feature has no meaning; and the domain compared with, an index into
        `gradients.groups`: samples.
    """
    cosines = gradients.cosine[:, 1:]
    domains = nearest_domains(job.scored, gradients.groups, cosines=cosines)
    likeness, ending, loss = _states(job, gradients.groups, passes=passes)
    relevance = response_losses(without_prompts(job), passes) - loss
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


@dataclass(frozen=True)
class _Target:
    """What hidden states are compared with: each domain's mean less `centre`, domains × width."""

    centre: Tensor
    means: Tensor

    def cosines(self, states: Tensor) -> Tensor:
        """samples × width → samples × domains."""
        return normalize(states - self.centre, dim=1) @ normalize(self.means - self.centre, dim=1).T


def _states(job: Job, domains: Sequence[str], *, passes: Passes) -> tuple[Tensor, Tensor, Tensor]:
    """(likeness, ending: samples × domains; mean response loss: samples), of private samples and anchors.

    The hidden states of at most `REFERENCE` private samples are in memory at once. Of larger clients, the others' are
    compared batch by batch.
    """
    private, validation = job.private, job.public.validation
    few = len(private) <= REFERENCE
    rows = random.Random(0).sample(range(len(private)), min(len(private), REFERENCE))
    reference = private if few else Picked(private, sorted(rows))
    measured = Joined(reference, job.public.anchors, validation)
    states = _over(measured, passes, targets={}, what="hidden states")
    of_domain = [torch.tensor([sample.domain == domain for sample in validation]) for domain in domains]
    targets = {}
    for name in ("mean", "last"):
        private_states, shown = states[name][: len(reference)], states[name][-len(validation) :]
        means = torch.stack([shown[inside].mean(0) for inside in of_domain])
        targets[name] = _Target(torch.cat([private_states, shown]).mean(0), means)
    if few:
        columns = {name: target.cosines(states[name]) for name, target in targets.items()} | {"loss": states["loss"]}
    else:
        columns = _over(job.scored, passes, targets=targets, what="hidden states of all samples")
    likeness, ending, loss = (columns[name][: len(job.scored)] for name in ("mean", "last", "loss"))
    return likeness, ending, loss


def _over(samples: Joined, passes: Passes, *, targets: Mapping[str, _Target], what: str) -> Columns:
    """`mean` and `last` hidden state of each response, or their cosines with `targets`, and its `loss`."""
    base = passes.base
    layer = round(DEPTH * len(decoder_layers(base.model))) - 1

    def compute(batch: Batch) -> Columns:
        tokens = [replace(samples[row], earlier=()) for row in batch.rows]
        on_device = pad(tokens, batch.rows).to(base.device)
        with hidden_states(base.model, layer) as collected:
            losses = sample_losses(base.model, on_device.input_ids, on_device.attention_mask, on_device.labels)
        pairs = [_summary(state, sample) for state, sample in zip(collected[0], tokens, strict=True)]
        mean, last = (torch.stack(part).float().cpu() for part in zip(*pairs, strict=True))
        states = {"mean": mean, "last": last}
        return {name: targets[name].cosines(s) if targets else s for name, s in states.items()} | {"loss": losses}

    facts = [[target.centre, target.means] for target in targets.values()]
    with torch.no_grad():
        return passes.over(samples, compute, inputs=["states", layer, *facts], what=what)


def _summary(state: Tensor, sample: Tokens) -> tuple[Tensor, Tensor]:
    """The mean over the response without its end token, and the last token's state. `state`: tokens × width, padded."""
    length = len(sample.input_ids)
    body = length - 1 if sample.ends and length - sample.response_start > 1 else length
    return state[sample.response_start : body].mean(0), state[length - 1]
