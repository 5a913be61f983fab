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

from clues.data.batches import Batch, batches, spread_batches
from clues.data.prompts import Tokens
from clues.errors import ConfigError, ScoringError
from clues.models.adapters import LoraModule, attached, lora_modules
from clues.models.base import Base
from clues.models.memory import in_halves
from clues.models.trajectory import Checkpoint
from clues.scoring.gradients import Transform, add_gradients, batch_products, zero_directions
from clues.scoring.parts import part_names
from clues.scoring.preconditioners import preconditioner
from clues.scoring.projection import project_directions, projected_products
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


def direction_lengths(directions: Mapping[str, Tensor]) -> Tensor:
    """The norm of every direction over all modules: directions, on the CPU."""
    return torch.as_tensor(sum(v.flatten(1).square().sum(1) for v in directions.values())).sqrt().cpu()


def cosines(products: Tensor, norms: Tensor, lengths: Tensor) -> Tensor:
    """samples × directions, from inner products (samples × directions) and the norms of both sides."""
    return products / (norms[:, None] * lengths[None, :]).clamp(min=torch.finfo(torch.float32).tiny)


def direction_shares(validation: Sequence[Tokens], weights: Mapping[str, float], contrasted: int) -> Tensor:
    """How much the gradient of each validation sample, then of each contrasted one, adds to each direction.

    The directions: Σ_m w_m (v_m − ḡ), the plain Σ_m w_m v_m, then v_m − ḡ for every domain by name; ḡ is the mean
    gradient of the contrasted samples, or 0 where there are none. While an adapter learns what all samples share,
    such as their form, every gradient points that way; the difference is what good samples have and the mixture
    lacks.

    Returns:
        (validation + contrasted) × (2 + domains).
    """
    domains = sorted(weights)
    size = {domain: sum(tokens.domain == domain for tokens in validation) for domain in domains}
    shares = torch.zeros(len(validation) + contrasted, 2 + len(domains))
    for row, tokens in enumerate(validation):
        shares[row, :2] = weights[tokens.domain] / size[tokens.domain]
        shares[row, 2 + domains.index(tokens.domain)] = 1 / size[tokens.domain]
    if contrasted:
        shares[len(validation) :, 0] = -sum(weights.values()) / contrasted
        shares[len(validation) :, 2:] = -1 / contrasted
    return shares


def weighted_gradients(
    model: Any,
    modules: list[LoraModule],
    tokens: Sequence[Tokens],
    shares: Tensor,
    settings: ScoringSettings,
    transform: Transform | None = None,
) -> dict[str, Tensor]:
    """Σ_i shares[i, d] · g_i for every direction d: by tensor name, directions × parameter shape."""
    directions = zero_directions(modules, shares.shape[1])
    device = next(iter(directions.values())).device

    def weighted(batch: Batch) -> dict[str, Tensor]:
        found = zero_directions(modules, shares.shape[1])
        weights = shares[batch.rows].to(device)
        losses = add_gradients(model, modules, batch.to(device), weights, found, transform, settings.loss_reduction)
        check_numbers({"loss": losses}, [tokens[row].id for row in batch.rows])
        return found

    for batch in batches(tokens, settings.batch_size, settings.batch_tokens):
        for found in in_halves(weighted, batch):
            for name, vectors in found.items():
                directions[name] += vectors
    return directions


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


def domain_weights(domains: Sequence[str], chosen: Mapping[str, float]) -> dict[str, float]:
    """w_m of every domain, 1 where none is chosen.

    Raises:
        ConfigError: a weight names no domain of the validation set.
    """
    unknown = sorted(set(chosen) - set(domains))
    if unknown:
        raise ConfigError(
            f"scoring.domain_weights: {', '.join(unknown)} is no domain of the validation set; "
            f"its domains are {', '.join(domains)}."
        )
    return {domain: chosen.get(domain, 1.0) for domain in domains}


def check_numbers(columns: Mapping[str, Tensor], ids: Sequence[str]) -> None:
    """Raises ScoringError, with the sample's id, where a column holds something that is no number."""
    for name, values in columns.items():
        wrong = (~torch.isfinite(values)).nonzero()
        if len(wrong):
            row = int(wrong[0, 0])
            raise ScoringError(
                f"sample '{ids[row]}': its {name} is {float(values[row])}; "
                "use model.dtype float32, or a smaller learning rate."
            )
