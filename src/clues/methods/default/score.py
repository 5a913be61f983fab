"""The default score, `auto`: the log-odds that a sample is good.

Five features compare a sample with clean public ones (`features.py`). They are added up in units of the clean samples'
spread: the sum says how unlike a good sample it is, in whichever way. The client's samples are then divided into those
like the clean ones and the rest (`groups.py`). Nothing is learnt from corrupted samples or from labels, as a score that
has seen some kinds of low quality is right about those.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clues.methods.default.columns import FEATURES, HIGHEST, LOWEST
from clues.methods.default.features import features, samples_of
from clues.methods.default.groups import judged
from clues.methods.interface import Job, Scores
from clues.models.trajectory import Trained
from clues.passes.agreement import agreement
from clues.passes.directions import by_domain
from clues.passes.passes import Passes

UNSEPARATED = "these scores show no clear cut between good and low-quality samples"


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """The log-odds of being good, at this client.

    Returns:
        Signals: the features, in standard deviations of the clean samples of a sample's domain. By domain: the
        gradient's cosine with it. Beside: `dot`, `cosine`, `paper` and `loss` of the gradient method. A note where the
        samples do not fall into two groups.
    """
    target = by_domain(job.public.validation, {})
    gradients = agreement(trained, samples_of(job), target=target, settings=job.scoring, passes=passes)
    measured, domains = features(job, gradients, passes=passes)
    private, shown = len(job.private), len(job.scored)
    comparable = standardised(measured, domains, private=private)
    total = comparable.clamp(LOWEST, HIGHEST).sum(1)
    own, clean, separated = judged(total[:private], total[private:])
    return Scores(
        score=torch.cat([own, clean])[:shown],
        by_domain=dict(zip(gradients.groups, gradients.cosine[:shown, 1:].unbind(1), strict=True)),
        signals=dict(zip(FEATURES, comparable[:shown].unbind(1), strict=True)),
        validation=dict(zip(FEATURES, comparable[shown:].unbind(1), strict=True)),
        parts={name: part[:shown] for name, part in gradients.parts.items()},
        beside={
            "dot": gradients.dot[:shown, 0],
            "cosine": gradients.cosine[:shown, 0],
            "paper": gradients.paper[:shown],
            "loss": gradients.loss[:shown],
        },
        note="" if separated else UNSEPARATED,
    )


def standardised(measured: Tensor, domains: Tensor, *, private: int) -> Tensor:
    """Features in standard deviations of the clean samples, centred at those of a sample's domain; NaN becomes 0.

    As a few clean samples say little about a spread, the client's own counts as one more of them. A domain without
    clean samples is centred at all of them.

    Args:
        measured: samples × features, the private ones, then the clean ones. domains: of each sample.
    """
    values, clean = measured.double(), torch.arange(len(measured)) >= private
    centred = torch.empty_like(values)
    for domain in domains.unique():
        rows = domains == domain
        centre = values[rows & clean if (rows & clean).any() else clean].nanmean(0)
        centred[rows] = values[rows] - centre.nan_to_num()
    squares, own = centred[clean].square(), centred[:private]
    spread = (own - own.nanmean(0)).square().nanmean(0).nan_to_num()
    variance = (squares.nansum(0) + spread) / (~squares.isnan()).sum(0).clamp(min=1)
    return (centred / variance.sqrt().clamp(min=torch.finfo(torch.float32).tiny)).nan_to_num(0.0)
