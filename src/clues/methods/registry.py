"""What scoring methods there are: the values of `scoring.method` and `clues score --method`.

`scoring.py` has the functions that compute them. Nothing here needs a model, so that commands which only name methods
start at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clues.errors import ConfigError
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


_OURS = "CLUES, arXiv 2507.03004"
_ADAM = frozenset({"preconditioner", "apply_to"})
_ADAPTER = frozenset({"loss_reduction", "modules"})
_DIRECTION = frozenset({"domain_weights", "by"})
_CHOICES = sorted({"similarity", "contrast", "projection"} | _ADAM | _ADAPTER | _DIRECTION)
METHODS = {
    "auto": Method(
        "the log-odds of being good, from gradients, hidden states and likelihoods",
        _OURS,
        rule="posterior",
        uses=frozenset({"preconditioner", "by"}) | _ADAPTER,
        gradients=1,
        forwards=2,
    ),
    "clues": Method("CLUES with the chosen settings", _OURS, uses=frozenset(_CHOICES), gradients=1),
    "paper": Method(
        "CLUES as published: plain inner products",
        _OURS,
        rule="anchor-mean",
        uses=_DIRECTION | {"modules"},
        gradients=1,
    ),
    "combined": Method(
        "CLUES' cosine and the base model's loss, against the anchors",
        _OURS,
        uses=_ADAM | _ADAPTER | _DIRECTION | {"contrast"},
        gradients=1,
        forwards=1,
    ),
    "less": Method(
        "LESS: cosine of Adam directions with the validation gradient",
        "arXiv 2402.04333",
        uses=_ADAPTER | _DIRECTION | {"projection"},
        gradients=1,
    ),
    "datainf": Method(
        "DataInf at the last checkpoint",
        "arXiv 2310.00902",
        uses=_ADAPTER | {"domain_weights"},
        gradients=3,
        checkpoints="last",
    ),
    "ifd": Method("minus instruction-following difficulty", "arXiv 2308.12032", trajectory="none", forwards=2),
    "ira": Method("instruction-response alignment", "arXiv 2410.11540", trajectory="none", forwards=2),
    "rds": Method(
        "cosine of hidden states with the validation set",
        "arXiv 2503.01807",
        trajectory="none",
        forwards=1,
    ),
    "rho": Method(
        "the loss that tuning on the validation set removes",
        "arXiv 2206.07137",
        trajectory="validation",
        forwards=2,
    ),
    "ppl": Method("minus perplexity under the base model", "arXiv 1911.00359", trajectory="none", forwards=1),
    "loss": Method("minus the loss along the trajectory", "a baseline", uses=_ADAPTER | _DIRECTION, gradients=1),
    "gradient-norm": Method(
        "minus the norm of the gradient",
        "a baseline",
        uses=_ADAM | _ADAPTER | _DIRECTION,
        gradients=1,
    ),
    "length": Method("the length of the response", "a baseline", trajectory="none"),
    "overlap": Method("the share of the response that the prompt has too", "a baseline", trajectory="none"),
    "random": Method("a random number", "a baseline", trajectory="none"),
}
