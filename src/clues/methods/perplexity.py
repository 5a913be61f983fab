"""Perplexity of the response under the base model; quality = −PPL. The usual filter of pre-training corpora."""

from __future__ import annotations

from clues.methods.interface import Job, Scores
from clues.models.trajectory import Trained
from clues.passes.losses import response_losses
from clues.passes.passes import Passes


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """−exp(mean NLL of the response given the prompt)."""
    return Scores(score=-response_losses(job.scored, passes).exp())
