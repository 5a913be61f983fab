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
        Signals, for either similarity: `dot` and `cosine`; `paper`, the plain Σ_t η_t ⟨∇ℓ, v_t⟩; `loss` and `norm`,
        the sample's loss and gradient norm, averaged over the checkpoints with weights η_t. Parts: the contribution to
        `dot` of each part that `settings.by` asks for.

    Raises:
        ConfigError: unknown module glob or domain weight, or moments that the trajectory lacks.
        ScoringError: a score is not a number; names the sample's id.
    """
    settings = job.scoring
    target = by_domain(job.public.validation, settings.domain_weights)
    target = replace(target, contrasted=_some(job.private, settings.contrast))
    gradients = agreement(trained, job.scored, target=target, settings=settings, passes=passes)
    similarity = gradients.dot if settings.similarity == "dot" else gradients.cosine
    return Scores(
        score=similarity[:, 0],
        by_domain={domain: similarity[:, column] for column, domain in enumerate(gradients.groups, start=1)},
        signals={
            "dot": gradients.dot[:, 0],
            "cosine": gradients.cosine[:, 0],
            "paper": gradients.paper,
            "loss": gradients.loss,
            "norm": gradients.norm,
        },
        parts=gradients.parts,
    )


def _some(tokens: Sequence[Tokens], count: int) -> list[Tokens]:
    """At most `count` of the samples, the same ones in every call."""
    return [tokens[row] for row in random.Random(0).sample(range(len(tokens)), min(count, len(tokens)))]
