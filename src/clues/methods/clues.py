"""CLUES: agreement of a sample's gradient with the validation gradient along the training trajectory.

S(z) = Σ_t η_t ⟨∇ℓ(z; φ_t), v_t⟩ with v_t = Σ_m w_m · mean over V_m of ∇ℓ (arXiv 2507.03004).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from clues.data.tokens import Tokens
from clues.methods.interface import Job, Scores
from clues.models.trajectory import Trained
from clues.passes.agreement import agreement
from clues.passes.directions import by_domain
from clues.passes.passes import Passes


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """Score by the similarity that the settings name; memory for gradients does not depend on the number of samples.

    Returns:
        Signals whichever similarity is chosen: `dot` and `cosine`; `paper`, the plain Σ_t η_t ⟨∇ℓ, v_t⟩; `loss` and
        `norm`, the sample's loss and the norm of its gradient, averaged over the checkpoints with weights η_t. Parts:
        what each one that `settings.by` asks for contributes to `dot`.

    Raises:
        ConfigError: unknown module glob or domain weight, or moments that the trajectory lacks.
        ScoringError: a score is not a number; names the sample's id.
    """
    settings = job.scoring
    target = by_domain(job.public.validation, settings.domain_weights)
    target = replace(target, contrasted=_some(job.private, settings.contrast))
    found = agreement(trained, job.scored, target=target, settings=settings, passes=passes)
    chosen = found.dot if settings.similarity == "dot" else found.cosine
    return Scores(
        score=chosen[:, 0],
        by_domain={domain: chosen[:, column] for column, domain in enumerate(found.groups, start=1)},
        signals={
            "dot": found.dot[:, 0],
            "cosine": found.cosine[:, 0],
            "paper": found.paper,
            "loss": found.loss,
            "norm": found.norm,
        },
        parts=found.parts,
    )


def _some(tokens: Sequence[Tokens], count: int) -> list[Tokens]:
    """At most `count` of the samples, always the same ones."""
    return [tokens[row] for row in random.Random(0).sample(range(len(tokens)), min(count, len(tokens)))]
