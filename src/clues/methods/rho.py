"""The loss that tuning on public samples removes (reducible holdout loss; Mindermann et al., arXiv 2206.07137).

The paper prefers what is learnable and not yet learnt: samples with a high loss under the current model and a low one
under a model trained on held-out data. Here the current model is the base, and the held-out data is the validation set.
"""

from __future__ import annotations

from clues.methods.interface import Job, Scores
from clues.models.trajectory import Trained
from clues.passes.losses import response_losses
from clues.passes.passes import Passes


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """L(response | prompt) of the base minus that of the base with an adapter `trained` on the validation set."""
    return Scores(score=response_losses(job.scored, passes) - response_losses(job.scored, passes, trained=trained))
