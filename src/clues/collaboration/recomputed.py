"""Anchor scores that the server computes itself, from public samples and the adapters that clients send.

A client that reports other scores than its adapter gives is found, or its report is not needed at all. The server's
scores are those of the adapters that it has: exact if they are the whole trajectory (the global adapters of federated
rounds, or `training.checkpoints` = 1), else those of the last checkpoint alone, which order anchors much like the sum
over all checkpoints, on another scale. A client can still send an adapter that it did not score with.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clues.errors import ConfigError
from clues.methods.interface import Job
from clues.methods.registry import method, only_used
from clues.methods.scoring import score_job
from clues.models.trajectory import Trained
from clues.passes.passes import Passes
from clues.settings import ScoringSettings

_GRADIENT_METHODS = ("clues", "paper", "combined", "loss", "gradient-norm")
_COLUMNS = ("score", "paper", "dot", "cosine")


def recomputable(scoring: ScoringSettings) -> tuple[str, ...]:
    """The columns of anchor scores that depend on public samples and the adapters alone.

    None with Adam's moments, which stay at the client (and so with `less`), for `datainf`, which inverts a curvature of
    private gradients, for `rho`, whose adapter the server would have to train, and in-run. The score of `auto` is
    relative to the client's samples, but the gradient columns beside it can be recomputed; with a contrast, `paper`.
    """
    used = only_used(scoring)
    if method(used.method).trajectory == "none":
        return ("score",)
    if used.walk == "in-run" or used.preconditioner != "none":
        return ()
    if used.method == "auto":
        return _COLUMNS[1:]
    if used.method not in _GRADIENT_METHODS:
        return ()
    return ("paper",) if used.contrast else _COLUMNS


def recomputed_anchors(job: Job, trained: Trained, passes: Passes) -> dict[str, Tensor]:
    """Those columns of the anchors' scores, by name: anchors.

    Args:
        job: whatever its private samples are; they are not looked at.
        trained: the checkpoints that the server knows, with their mean learning rates.

    Raises:
        ConfigError: the method's anchor scores need what only a client has.
    """
    columns = recomputable(job.scoring)
    if not columns:
        raise ConfigError(
            f"defences: anchor scores of method {job.scoring.method} with these settings need what stays at a client; "
            "let clients send them, or use method clues without preconditioner."
        )
    public = Job(base=job.base, private=job.public.anchors, public=job.public, settings=job.settings)
    public = public.with_scoring(contrast=0)
    if job.scoring.method == "auto":
        public = public.with_scoring(method="clues", domain_weights={})
    scores = score_job(public, trained, passes).columns
    return {name: scores[name][len(public.private) :] for name in columns if name in scores}


@dataclass(frozen=True)
class Disagreement:
    """How a client's anchor scores differ from the server's.

    `largest`: the largest difference, in standard deviations of the server's scores; for equal checkpoints. `rank`:
    Spearman's correlation, whatever the scale.
    """

    largest: float
    rank: float


def disagreement(sent: Tensor, recomputed: Tensor) -> Disagreement:
    """Compare a client's anchor scores with the server's: anchors, anchors."""
    from scipy.stats import spearmanr

    spread = recomputed.double().std(correction=0).clamp(min=torch.finfo(torch.float64).tiny)
    largest = float((sent.double() - recomputed.double()).abs().max() / spread)
    return Disagreement(largest, float(spearmanr(sent.numpy(), recomputed.numpy()).statistic))
