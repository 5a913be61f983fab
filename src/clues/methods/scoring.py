"""How each method of the registry computes its scores."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from clues.methods import clues, datainf, floors, ifd, ira, perplexity, rds, rho
from clues.methods.default import score as auto
from clues.methods.interface import Job, Score, Scores
from clues.models.trajectory import Trained
from clues.passes.losses import response_losses
from clues.passes.passes import Passes


def score_job(job: Job, trained: Trained, passes: Passes) -> Scores:
    """The scores of a job's samples and anchors by the method that its settings name."""
    return _SCORES[job.scoring.method](job, trained, passes)


def _with(**choices: Any) -> Score:
    """The gradient method with some settings fixed."""
    return lambda job, trained, passes: clues.score(job.with_scoring(**choices), trained, passes)


def _minus(signal: str) -> Score:
    def score(job: Job, trained: Trained, passes: Passes) -> Scores:
        scores = clues.score(job, trained, passes)
        return replace(scores, score=-scores.signals[signal])

    return score


def _random(job: Job, trained: Trained, passes: Passes) -> Scores:
    # Seeded by id; by position, every client would get the same numbers.
    return Scores(score=torch.tensor([random.Random(name).random() for name in job.scored.ids]))


def _combined(job: Job, trained: Trained, passes: Passes) -> Scores:
    """Gradient cosine minus loss, each in standard deviations of the client's anchors."""
    scores = clues.score(job.with_scoring(similarity="cosine"), trained, passes)
    loss, start = response_losses(job.scored, passes), len(job.private)
    score = _against_anchors(scores.signals["cosine"], start) - _against_anchors(loss, start)
    return replace(scores, score=score, beside={"base_loss": loss})


def _against_anchors(values: Tensor, start: int) -> Tensor:
    anchors = values[start:]
    return (values - anchors.mean()) / anchors.std(correction=0).clamp(min=torch.finfo(torch.float32).tiny)


_SCORES: dict[str, Score] = {
    "auto": auto.score,
    "clues": clues.score,
    "paper": _with(similarity="dot", preconditioner="none", loss_reduction="mean", contrast=0),
    "combined": _combined,
    "less": _with(similarity="cosine", preconditioner="adam", apply_to="train", contrast=0),
    "datainf": datainf.score,
    "ifd": ifd.score,
    "ira": ira.score,
    "rds": rds.score,
    "rho": rho.score,
    "ppl": perplexity.score,
    "loss": _minus("loss"),
    "gradient-norm": _minus("norm"),
    "length": floors.length,
    "overlap": floors.overlap,
    "random": _random,
}
