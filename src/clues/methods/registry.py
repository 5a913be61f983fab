"""The registry of scoring methods: the values of `scoring.method` and `clues score --method`."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from clues.errors import ConfigError
from clues.methods import clues, datainf, floors, ifd, ira, perplexity, rds, rho
from clues.methods.default import score as auto
from clues.methods.interface import Job, Score, Scores
from clues.models.trajectory import Trained
from clues.passes.losses import response_losses
from clues.passes.passes import Passes
from clues.settings import Rule, ScoringSettings, SelectionSettings


@dataclass(frozen=True)
class Method:
    """A scoring method.

    `source`: its publication. `trajectory`: the samples that the adapter it needs is trained on. `rule`: the default
    threshold rule for its scores. `uses`: the settings of `scoring` that its scores or their columns depend on.
    `gradients`: forward and backward passes of a sample, at each checkpoint or at the last one; `forwards`: its passes
    without gradients.
    """

    title: str
    source: str
    score: Score
    trajectory: Literal["private", "validation", "none"] = "private"
    rule: Rule = "anchor-quantile"
    uses: frozenset[str] = frozenset()
    gradients: int = 0
    forwards: int = 0
    checkpoints: Literal["each", "last"] = "each"

    @property
    def cost(self) -> str:
        """The passes of a sample through the model, in words."""
        at = {"each": "a checkpoint", "last": "at the last checkpoint"}[self.checkpoints]
        parts = [f"{self.gradients} with gradients {at}"] if self.gradients else []
        return ", ".join([*parts, *([f"{self.forwards} without"] if self.forwards else [])]) or "none"


def checked_method(settings: ScoringSettings) -> Method:
    """The method that the settings name.

    Raises:
        ConfigError: no method has that name, or a setting that differs from its default has no effect.
    """
    named, default = method(settings.method), ScoringSettings()
    wrong = []
    for key in _CHOICES:
        if getattr(settings, key) == getattr(default, key) or key in named.uses:
            continue
        users = [name for name, other in METHODS.items() if key in other.uses]
        wrong.append(
            f"scoring.{key}: has no effect with method {settings.method}; leave it out, "
            f"or use one of {', '.join(users)}."
        )
    if settings.apply_to != "both" and settings.preconditioner == "none" and "apply_to" in named.uses:
        wrong.append("scoring.apply_to: has no effect without scoring.preconditioner; leave it out.")
    if settings.refreshes != default.refreshes and settings.walk != "in-run":
        wrong.append("scoring.refreshes: is for scoring.walk in-run; leave it out.")
    if wrong:
        raise ConfigError("\n".join(wrong))
    return named


def only_used(settings: ScoringSettings) -> ScoringSettings:
    """The settings, with those that have no effect on the method's scores reset to their defaults."""
    unused = {key for key in _CHOICES if key not in method(settings.method).uses}
    return settings.model_copy(update=ScoringSettings().model_dump(include=unused))


def method(name: str) -> Method:
    """Raises ConfigError where no method has that name."""
    if name not in METHODS:
        raise ConfigError(f"scoring.method: '{name}' is not known; use one of {', '.join(METHODS)}.")
    return METHODS[name]


def with_rule(selection: SelectionSettings, scoring: ScoringSettings) -> SelectionSettings:
    """The selection settings with a rule: the one they name, or the scoring method's default."""
    return selection.model_copy(update={"threshold": selection.threshold or method(scoring.method).rule})


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


_OURS = "CLUES, arXiv 2507.03004"
_ADAM = frozenset({"preconditioner", "apply_to"})
_ADAPTER = frozenset({"loss_reduction", "modules"})
_DIRECTION = frozenset({"domain_weights", "by"})
_CHOICES = sorted({"similarity", "contrast", "projection"} | _ADAM | _ADAPTER | _DIRECTION)
METHODS = {
    "auto": Method(
        "the log-odds of being good, from gradients, hidden states and likelihoods",
        _OURS,
        auto.score,
        rule="posterior",
        uses=frozenset({"preconditioner", "by"}) | _ADAPTER,
        gradients=1,
        forwards=2,
    ),
    "clues": Method("CLUES with the chosen settings", _OURS, clues.score, uses=frozenset(_CHOICES), gradients=1),
    "paper": Method(
        "CLUES as published: plain inner products",
        _OURS,
        _with(similarity="dot", preconditioner="none", loss_reduction="mean", contrast=0),
        rule="anchor-mean",
        uses=_DIRECTION | {"modules"},
        gradients=1,
    ),
    "combined": Method(
        "CLUES' cosine and the base model's loss, against the anchors",
        _OURS,
        _combined,
        uses=_ADAM | _ADAPTER | _DIRECTION | {"contrast"},
        gradients=1,
        forwards=1,
    ),
    "less": Method(
        "LESS: cosine of Adam directions with the validation gradient",
        "arXiv 2402.04333",
        _with(similarity="cosine", preconditioner="adam", apply_to="train", contrast=0),
        uses=_ADAPTER | _DIRECTION | {"projection"},
        gradients=1,
    ),
    "datainf": Method(
        "DataInf at the last checkpoint",
        "arXiv 2310.00902",
        datainf.score,
        uses=_ADAPTER | {"domain_weights"},
        gradients=3,
        checkpoints="last",
    ),
    "ifd": Method(
        "minus instruction-following difficulty", "arXiv 2308.12032", ifd.score, trajectory="none", forwards=2
    ),
    "ira": Method("instruction-response alignment", "arXiv 2410.11540", ira.score, trajectory="none", forwards=2),
    "rds": Method(
        "cosine of hidden states with the validation set",
        "arXiv 2503.01807",
        rds.score,
        trajectory="none",
        forwards=1,
    ),
    "rho": Method(
        "the loss that tuning on the validation set removes",
        "arXiv 2206.07137",
        rho.score,
        trajectory="validation",
        forwards=2,
    ),
    "ppl": Method(
        "minus perplexity under the base model", "arXiv 1911.00359", perplexity.score, trajectory="none", forwards=1
    ),
    "loss": Method(
        "minus the loss along the trajectory", "a baseline", _minus("loss"), uses=_ADAPTER | _DIRECTION, gradients=1
    ),
    "gradient-norm": Method(
        "minus the norm of the gradient",
        "a baseline",
        _minus("norm"),
        uses=_ADAM | _ADAPTER | _DIRECTION,
        gradients=1,
    ),
    "length": Method("the length of the response", "a baseline", floors.length, trajectory="none"),
    "overlap": Method(
        "the share of the response that the prompt has too", "a baseline", floors.overlap, trajectory="none"
    ),
    "random": Method("a random number", "a baseline", _random, trajectory="none"),
}
