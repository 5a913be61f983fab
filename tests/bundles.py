"""The package's bundles, made of the parts that a test varies."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import torch

import clues.training.fit as fitting
from clues.data.tokens import Tokens, TokenTable
from clues.io.digests import value_digest
from clues.io.store import Store
from clues.methods.interface import Job, Public, Scores
from clues.methods.scoring import score_job
from clues.models.adapters import Lora
from clues.models.base import Base
from clues.models.trajectory import Checkpoint, Trained
from clues.passes.passes import Passes
from clues.settings import LoraSettings, ScoringSettings, SiloSettings, TrainingSettings

Rows = Sequence[Tokens]


def table(rows: Rows) -> TokenTable:
    return rows if isinstance(rows, TokenTable) else TokenTable(rows)


def job(base: Base, samples: Rows, anchors: Rows, validation: Rows, **settings: Any) -> Job:
    """`settings`: tables of settings, such as scoring."""
    public = Public(validation=table(validation), anchors=table(anchors))
    return Job(base=base, private=table(samples), public=public, settings=SiloSettings(**settings))


def passes(base: Base, settings: ScoringSettings = ScoringSettings(), store: Store | None = None) -> Passes:
    limits = settings.model_dump(include={"batch_size", "batch_tokens"})
    return Passes(base=base, store=store or Store.temporary(), **limits)


def scores(given: Job, trained: Trained, store: Store | None = None) -> Scores:
    """By the method that the job's settings name."""
    return score_job(given, trained, passes(given.base, given.scoring, store))


def score(
    base: Base,
    points: Sequence[Checkpoint],
    lora: Lora,
    samples: Rows,
    validation: Rows,
    settings: ScoringSettings,
    own: Rows | None = None,
) -> dict[str, torch.Tensor]:
    """Columns of the gradient method, of the samples alone; `own` are the samples that a contrast is drawn from."""
    assert own is None or own is samples
    given = job(base, samples, [], validation, scoring=settings.model_copy(update={"method": "clues"}))
    return scores(given, Trained(lora, points)).columns


def fit(
    base: Base, lora: Lora, tokens: Rows, settings: TrainingSettings, seed: int, **options: Any
) -> dict[str, torch.Tensor]:
    places = {name: options.pop(name) for name in ("trajectory", "watch") if name in options}
    assert isinstance(lora, LoraSettings)
    training = fitting.Training(lora=lora, settings=settings, seed=seed, **options)
    return fitting.fit(base, tokens, training=training, **places)


def state_digest(model: Any) -> str:
    """SHA-256 of everything that adapters and training can change in a model in memory."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    modules = [
        [name, type(module).__name__, module.training, len(module._forward_hooks), len(module._forward_pre_hooks)]
        for name, module in model.named_modules()
    ]
    flags = [[name, parameter.requires_grad, parameter.grad is None] for name, parameter in model.named_parameters()]
    return value_digest([digest.hexdigest(), modules, flags, sorted(vars(model)), str(model.config.to_dict())])
