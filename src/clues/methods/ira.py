"""Instruction-response alignment (IRA; FedDQC, arXiv 2410.11540): how much the prompt lowers the response's loss."""

from __future__ import annotations

from clues.methods.ifd import last_responses, without_prompts
from clues.methods.interface import Job, Scores
from clues.models.trajectory import Trained
from clues.passes.losses import response_losses
from clues.passes.passes import Passes


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """L(response) − L(response | prompt). Both losses are means over the response's tokens."""
    alone = response_losses(without_prompts(job.scored, job.base), passes)
    return Scores(score=alone - response_losses(last_responses(job), passes))
