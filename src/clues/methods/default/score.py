"""The default score, `auto`: the log-odds that a sample is good.

Four features compare a sample with clean public ones (`features.py`). They are added up in units of the anchors'
spread: the sum says how unlike a good sample it is, in whichever way. The client's samples are then divided into those
like the anchors and the rest (`groups.py`). Nothing is learnt from corrupted samples or from labels, as a score that
has seen some kinds of low quality is right about those.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clues.methods.default.columns import FEATURES, HIGHEST, LOWEST
from clues.methods.default.features import features
from clues.methods.default.groups import judged
from clues.methods.interface import Job, Scores
from clues.models.trajectory import Trained
from clues.passes.agreement import agreement
from clues.passes.directions import by_domain
from clues.passes.passes import Passes

UNSEPARATED = "these scores do not separate good from low-quality samples"


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """The log-odds of being good, at this client.

    Returns:
        Signals: the features, in standard deviations of the anchors of a sample's domain. By domain: the gradient's
        cosine with it. Beside: `dot`, `cosine`, `paper` and `loss` of the gradient method. A note where the samples do
        not fall into two groups.
    """
    target = by_domain(job.public.validation, {})
    gradients = agreement(trained, job.scored, target=target, settings=job.scoring, passes=passes)
    measured, domains = features(job, gradients, passes=passes)
    comparable = standardised(measured, domains, private=len(job.private))
    total = comparable.clamp(LOWEST, HIGHEST).sum(1)
    *log_odds, separated = judged(total[: len(job.private)], total[len(job.private) :])
    return Scores(
        score=torch.cat(log_odds),
        by_domain=dict(zip(gradients.groups, gradients.cosine[:, 1:].unbind(1), strict=True)),
        signals=dict(zip(FEATURES, comparable.unbind(1), strict=True)),
        parts=gradients.parts,
        beside={
            "dot": gradients.dot[:, 0],
            "cosine": gradients.cosine[:, 0],
            "paper": gradients.paper,
            "loss": gradients.loss,
        },
        note="" if separated else UNSEPARATED,
    )


def standardised(measured: Tensor, domains: Tensor, *, private: int) -> Tensor:
    """Features in standard deviations of the anchors, centred at those of a sample's domain; NaN becomes 0.

    As a few anchors say little about a spread, the client's own counts as one more anchor. A domain without anchors is
    centred at all of them.

    Args:
        measured: samples × features, the private ones, then the anchors. domains: of each sample.
    """
    values, of_anchors = measured.double(), torch.arange(len(measured)) >= private
    centred = torch.empty_like(values)
    for domain in domains.unique():
        rows = domains == domain
        centre = values[rows & of_anchors if (rows & of_anchors).any() else of_anchors].nanmean(0)
        centred[rows] = values[rows] - centre.nan_to_num()
    squares, own = centred[of_anchors].square(), centred[:private]
    variance = (squares.nansum(0) + (own - own.nanmean(0)).square().nanmean(0).nan_to_num()) / len(squares)
    return (centred / variance.sqrt().clamp(min=torch.finfo(torch.float32).tiny)).nan_to_num(0.0)
