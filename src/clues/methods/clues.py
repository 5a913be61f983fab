"""CLUES: agreement of a sample's gradient with the validation gradient along the training trajectory.

S(z) = Σ_t η_t ⟨∇ℓ(z; φ_t), v_t⟩ with v_t = Σ_m w_m · mean over V_m of ∇ℓ (arXiv 2507.03004).
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from clues.data.batches import Batch, spread_batches
from clues.data.prompts import Tokens
from clues.models.adapters import LoraModule, attached, lora_modules
from clues.models.base import Base
from clues.models.trajectory import Checkpoint
from clues.passes.directions import cosines, direction_lengths, direction_shares, domain_weights, weighted_gradients
from clues.passes.gradients import Transform, batch_products
from clues.passes.memory import in_halves
from clues.passes.numbers import check_numbers
from clues.passes.parts import part_names
from clues.passes.preconditioners import preconditioner
from clues.passes.projection import project_directions, projected_products
from clues.settings import ScoringSettings

Columns = dict[str, Tensor]  # by name, samples
# Gives the columns kept under a name, or computes and keeps them; a pass that is cut off so goes on where it was.
# They are one batch's: `row`, where in the samples each stands, and scalars in float32.
Remember = Callable[[str, Callable[[], Columns]], Columns]


def score(
    base: Base,
    checkpoints: Sequence[Checkpoint],
    lora_config: Any,
    samples: Sequence[Tokens],
    validation: Sequence[Tokens],
    settings: ScoringSettings,
    own: Sequence[Tokens] = (),
    remember: Remember = lambda _, compute: compute(),
) -> Columns:
    """Score samples at every checkpoint and add up. Memory does not depend on the number of samples.

    Args:
        own: the private samples whose mean gradient ḡ_t `settings.contrast` takes off the validation direction.
        remember: keeps the scalars of every batch, so that an interrupted pass does no batch twice.

    Returns:
        `score`, and under each domain's name the score against that domain alone; whichever similarity was
        chosen, `dot` and `cosine`; `paper`, the plain Σ_t η_t ⟨∇ℓ, v_t⟩; `loss` and `norm`, the sample's loss and
        the norm of its gradient, averaged over the checkpoints with weights η_t; and for every part that
        `settings.by` asks for what it contributes to `dot`.

    Raises:
        ConfigError: unknown module glob or domain weight, or moments that the trajectory lacks.
        ScoringError: a score is not a number; names the sample's id.
    """
    domains = sorted({tokens.domain for tokens in validation})
    contrasted = _some(own, settings.contrast)
    shares = direction_shares(validation, domain_weights(domains, settings.domain_weights), len(contrasted))
    dot = torch.zeros(len(samples), shares.shape[1])
    cosine, loss, norm = torch.zeros_like(dot), torch.zeros(len(samples)), torch.zeros(len(samples))
    parts: Columns = {}
    products = ["dot", "paper", *(f"dot {domain}" for domain in domains)]
    mean = mean_shares([checkpoint.learning_rate for checkpoint in checkpoints])
    for number, (checkpoint, weight) in enumerate(zip(checkpoints, mean, strict=True), start=1):
        with attached(base, lora_config, checkpoint.state) as model:
            model.eval().requires_grad_(False)
            modules = lora_modules(model, settings.modules)
            transform = preconditioner(settings.preconditioner, checkpoint, base.device)
            side = transform if settings.apply_to == "both" else None
            directions = weighted_gradients(model, modules, [*validation, *contrasted], shares, settings, side)
            if settings.projection:
                directions = project_directions(directions, settings.projection)
            what = f"scoring, checkpoint {number} of {len(checkpoints)}"
            lengths, rate = direction_lengths(directions), checkpoint.learning_rate
            part_of = part_names(modules, settings.by)
            compute = functools.partial(_columns, model, modules, directions, transform, settings, products, part_of)
            shard = f"{_gradients_of(settings)}/checkpoint-{number}"
            for found in remembered_batches(remember, shard, compute, samples, settings, what):
                rows, size, losses = found["row"], found["norm"], found["loss"]
                part = torch.stack([found[name] for name in products], dim=1)
                dot[rows] += rate * part
                # A mean over checkpoints, so that a cosine stays between −1 and 1.
                cosine[rows] += weight * cosines(part, size, lengths)
                loss[rows] += weight * losses
                norm[rows] += weight * size
                for name in dict.fromkeys(part_of.values()):
                    parts.setdefault(name, torch.zeros(len(samples)))[rows] += rate * found[name]
    chosen = dot if settings.similarity == "dot" else cosine
    return {
        "score": chosen[:, 0],
        **{domain: chosen[:, column] for column, domain in enumerate(domains, start=2)},
        "dot": dot[:, 0],
        "cosine": cosine[:, 0],
        "paper": dot[:, 1],
        "loss": loss,
        "norm": norm,
        **parts,
    }


def remembered_batches(
    remember: Remember,
    shard: str,
    compute: Callable[[Batch], Columns],
    samples: Sequence[Tokens],
    settings: ScoringSettings,
    what: str,
) -> Iterator[Columns]:
    """`compute` of every batch of a pass, each kept in `shard` under its place there.

    Raises:
        ScoringError: what was computed of a sample is no number; names its id. Nothing of that batch is kept.
    """

    def whole(batch: Batch) -> Columns:
        parts = in_halves(compute, batch)
        columns = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        check_numbers(columns, [samples[row].id for row in batch.rows])
        return columns

    def remembered(batch: Batch) -> Columns:
        return remember(f"{shard}/{batch.rows[0]}-{len(batch.rows)}", lambda: whole(batch))

    return spread_batches(samples, settings.batch_size, settings.batch_tokens, what, remembered)


def _columns(
    model: Any,
    modules: list[LoraModule],
    directions: Mapping[str, Tensor],
    transform: Transform | None,
    settings: ScoringSettings,
    names: Sequence[str],
    part_of: Mapping[str, str],
    batch: Batch,
) -> Columns:
    """`row`, the inner products by `names`, parts, `norm` and `loss`, on the CPU."""
    device = next(iter(directions.values())).device
    moved, reduction = batch.to(device), settings.loss_reduction
    if settings.projection:
        found = projected_products(model, modules, moved, directions, transform, reduction)
    else:
        found = batch_products(model, modules, moved, directions, transform, reduction, part_of)
    columns = dict(zip(names, found.dot.unbind(1), strict=True)) | found.parts
    columns |= {"norm": found.squared_norm.sqrt(), "loss": found.loss}
    return {"row": torch.tensor(batch.rows), **{name: values.cpu() for name, values in columns.items()}}


def mean_shares(rates: Sequence[float]) -> list[float]:
    """How much each checkpoint counts in a mean: by its learning rate, or all alike where every rate is 0."""
    total = sum(rates)
    return [rate / total for rate in rates] if total else [1 / len(rates)] * len(rates)


def _gradients_of(settings: ScoringSettings) -> str:
    """What a method may set that changes the products; the similarity is computed from them."""
    return f"{settings.preconditioner}-{settings.apply_to}-{settings.loss_reduction}-{settings.contrast}"


def _some(tokens: Sequence[Tokens], count: int) -> list[Tokens]:
    """At most `count` of the samples, always the same ones."""
    return random.Random(0).sample(list(tokens), min(count, len(tokens)))
