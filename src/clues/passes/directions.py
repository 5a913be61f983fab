"""Directions that per-sample gradients are compared with: weighted sums of the validation samples' gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from clues.data.batches import Batch, batches
from clues.data.prompts import Tokens
from clues.errors import ConfigError
from clues.models.adapters import LoraModule
from clues.passes.gradients import Transform, add_gradients, zero_directions
from clues.passes.memory import in_halves
from clues.passes.numbers import check_numbers
from clues.settings import ScoringSettings


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


def direction_lengths(directions: Mapping[str, Tensor]) -> Tensor:
    """The norm of every direction over all modules: directions, on the CPU."""
    return torch.as_tensor(sum(v.flatten(1).square().sum(1) for v in directions.values())).sqrt().cpu()


def cosines(products: Tensor, norms: Tensor, lengths: Tensor) -> Tensor:
    """samples × directions, from inner products (samples × directions) and the norms of both sides."""
    return products / (norms[:, None] * lengths[None, :]).clamp(min=torch.finfo(torch.float32).tiny)
