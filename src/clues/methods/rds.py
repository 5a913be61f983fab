"""Representation-based data selection (RDS+; Ivison et al., arXiv 2503.01807): similarity of hidden states.

A sample is represented by the mean of its tokens' last hidden states, weighted by position, so that later tokens, which
have seen more of it, count more. The paper selects by the greatest cosine with any query, here a validation sample.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from clues.data.batches import Batch
from clues.methods.interface import Job, Scores
from clues.models.base import Base
from clues.models.trajectory import Trained
from clues.passes.passes import Columns, Passes


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """The greatest cosine with a validation sample. By domain: with one of that domain."""
    validation = job.public.validation
    domains = sorted(set(validation.domain_names))
    with torch.no_grad():
        queries = passes.over(
            validation,
            lambda batch: {"embedding": _embeddings(job.base, batch)},
            inputs="rds embeddings",
            what="hidden states of the validation set",
        )["embedding"].to(job.base.device)
        groups = [queries[[t.domain == domain for t in validation]] for domain in domains]

        def compute(batch: Batch) -> Columns:
            embeddings = _embeddings(job.base, batch)
            return {"greatest": torch.stack([(embeddings @ group.T).amax(1) for group in groups], dim=1)}

        inputs = ["rds", validation.digest]
        greatest = passes.over(job.scored, compute, inputs=inputs, what="hidden states")["greatest"]
    return Scores(score=greatest.amax(1), by_domain=dict(zip(domains, greatest.unbind(1), strict=True)))


def _embeddings(base: Base, batch: Batch) -> Tensor:
    on_device = batch.to(base.device)
    ids, mask = on_device.input_ids, on_device.attention_mask
    states = base.model.base_model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    weights = (mask.cumsum(1) * mask).float()
    mean = torch.einsum("bt,btd->bd", weights / weights.sum(1, keepdim=True), states.float())
    return functional.normalize(mean, dim=1)
