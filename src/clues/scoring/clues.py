"""CLUES: agreement of a sample's gradient with the validation gradient along the training trajectory.

S(z) = Σ_t η_t ⟨∇ℓ(z; φ_t), v_t⟩ with v_t = Σ_m w_m · mean over V_m of ∇ℓ (arXiv 2507.03004).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clues.config import ScoringSettings
from clues.data.batches import batch_count, batches
from clues.data.prompts import Tokens
from clues.errors import ConfigError, ScoringError
from clues.models.adapters import LoraModule, attached, lora_modules
from clues.models.base import Base
from clues.models.trajectory import Checkpoint
from clues.progress import track
from clues.scoring.gradients import Transform, add_gradients, batch_products, zero_directions
from clues.scoring.preconditioners import preconditioner


@dataclass(frozen=True)
class Scores:
    """Scores of samples, in the order given.

    `total`: samples, by the chosen similarity; `domains`: per domain, samples; `dot`, `cosine`: samples, the
    two similarities with the whole validation direction, whichever was chosen.
    """

    total: Tensor
    domains: dict[str, Tensor]
    dot: Tensor
    cosine: Tensor


def score(
    base: Base,
    checkpoints: Sequence[Checkpoint],
    lora_config: Any,
    samples: Sequence[Tokens],
    validation: Sequence[Tokens],
    settings: ScoringSettings,
) -> Scores:
    """Score samples at every checkpoint and add up. Memory does not depend on the number of samples.

    Raises:
        ConfigError: unknown module glob or domain weight, or moments that the trajectory lacks.
        ScoringError: a score is not a number; names the sample's id.
    """
    domains = sorted({tokens.domain for tokens in validation})
    weights = domain_weights(domains, settings.domain_weights)
    dot = torch.zeros(len(samples), len(domains) + 1)
    cosine = torch.zeros_like(dot)
    for number, checkpoint in enumerate(checkpoints, start=1):
        with attached(base, lora_config, checkpoint.state) as model:
            model.eval().requires_grad_(False)
            modules = lora_modules(model, settings.modules)
            transform = preconditioner(settings.preconditioner, checkpoint, base.device)
            directions = validation_directions(
                model, modules, validation, weights, settings, transform if settings.apply_to == "both" else None
            )
            norms = sum(v.flatten(1).square().sum(1) for v in directions.values())
            norms = torch.as_tensor(norms).sqrt().cpu()
            progress = track(
                batches(samples, settings.batch_size, settings.batch_tokens),
                f"scoring, checkpoint {number} of {len(checkpoints)}",
                batch_count(samples, settings.batch_size, settings.batch_tokens),
            )
            for batch in progress:
                products = batch_products(
                    model, modules, batch.to(base.device), directions, transform, settings.loss_reduction
                )
                _check(products.loss, batch.rows, samples)
                part = products.dot.cpu()
                lengths = products.squared_norm.sqrt().cpu()
                dot[batch.rows] += checkpoint.learning_rate * part
                scale = (lengths[:, None] * norms[None, :]).clamp(min=torch.finfo(torch.float32).tiny)
                cosine[batch.rows] += checkpoint.learning_rate * part / scale
    total_rate = sum(checkpoint.learning_rate for checkpoint in checkpoints)
    cosine /= total_rate  # the mean over checkpoints weighted by η_t: a number between −1 and 1
    chosen = dot if settings.similarity == "dot" else cosine
    return Scores(
        total=chosen[:, 0],
        domains={domain: chosen[:, column] for column, domain in enumerate(domains, start=1)},
        dot=dot[:, 0],
        cosine=cosine[:, 0],
    )


def validation_directions(
    model: Any,
    modules: list[LoraModule],
    validation: Sequence[Tokens],
    weights: Mapping[str, float],
    settings: ScoringSettings,
    transform: Transform | None,
) -> dict[str, Tensor]:
    """The validation directions at one checkpoint: the weighted total first, then one per domain by name.

    Returns:
        By tensor name, (1 + domains) × parameter shape.
    """
    domains = sorted(weights)
    size = {domain: sum(tokens.domain == domain for tokens in validation) for domain in domains}
    directions = zero_directions(modules, len(domains) + 1)
    shares = torch.zeros(len(validation), len(domains) + 1)
    for row, tokens in enumerate(validation):
        shares[row, 0] = weights[tokens.domain] / size[tokens.domain]
        shares[row, 1 + domains.index(tokens.domain)] = 1 / size[tokens.domain]
    device = next(iter(directions.values())).device
    for batch in batches(validation, settings.batch_size, settings.batch_tokens):
        add_gradients(
            model,
            modules,
            batch.to(device),
            shares[batch.rows].to(device),
            directions,
            transform,
            settings.loss_reduction,
        )
    return directions


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


def _check(losses: Tensor, rows: Sequence[int], samples: Sequence[Tokens]) -> None:
    for loss, row in zip(losses.tolist(), rows, strict=True):
        if not torch.isfinite(torch.tensor(loss)):
            raise ScoringError(
                f"sample '{samples[row].id}': its loss is {loss}; use model.dtype float32, or a smaller learning rate."
            )
