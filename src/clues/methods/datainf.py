"""DataInf (Kwon et al., arXiv 2310.00902): influence by a closed-form damped inverse, layer by layer.

H_l⁻¹ v ≈ 1/(n λ_l) Σ_i (v − ⟨v, g_i⟩ / (λ_l + ‖g_i‖²) · g_i), with λ_l = 0.1 · mean_i ‖g_i‖² / d_l; the score is
⟨H⁻¹ v, g⟩ over all layers. A layer is one tensor of the adapter. The sums over i run over the private samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from clues.data.batches import Batch, tracked_batches
from clues.data.prompts import Tokens
from clues.models.adapters import LoraModule, attached, lora_modules
from clues.models.base import Base
from clues.models.trajectory import Checkpoint
from clues.passes.directions import direction_shares, domain_weights, weighted_gradients
from clues.passes.gradients import batch_products, sample_gradients, tensor_names, zero_directions
from clues.passes.memory import in_halves
from clues.passes.numbers import check_numbers
from clues.settings import ScoringSettings

_DAMPING = 0.1


def score(
    base: Base,
    checkpoint: Checkpoint,
    lora_config: Any,
    samples: Sequence[Tokens],
    anchors: Sequence[Tokens],
    validation: Sequence[Tokens],
    settings: ScoringSettings,
) -> Tensor:
    """Influence at one checkpoint, of samples and anchors together: samples + anchors. Three passes."""
    weights = domain_weights(sorted({t.domain for t in validation}), settings.domain_weights)
    with attached(base, lora_config, checkpoint.state) as model:
        model.eval().requires_grad_(False)
        modules = lora_modules(model, settings.modules)
        shares = direction_shares(validation, weights, 0)[:, :1]
        v = {n: t[0] for n, t in weighted_gradients(model, modules, validation, shares, settings).items()}
        inverse = _inverse(model, modules, samples, v, settings)
        everything = [*samples, *anchors]
        products = torch.zeros(len(everything))

        def against(batch: Batch) -> None:
            moved, reduction = batch.to(base.device), settings.loss_reduction
            found = batch_products(model, modules, moved, inverse, reduction=reduction)
            products[batch.rows] = found.dot[:, 0].cpu()

        for batch in _batches(everything, settings, "DataInf, pass 3 of 3"):
            in_halves(against, batch)
    check_numbers({"influence": products}, [tokens.id for tokens in everything])
    return products


def _inverse(
    model: Any, modules: list[LoraModule], samples: Sequence[Tokens], v: Mapping[str, Tensor], settings: ScoringSettings
) -> dict[str, Tensor]:
    """H⁻¹ v: by tensor name, 1 × parameter shape."""
    names = tensor_names(modules)
    device = modules[0].a.weight.device
    norms, products = (torch.zeros(len(names), len(samples), device=device) for _ in range(2))

    def measure(batch: Batch) -> None:
        def receive(name: str, gradient: Tensor) -> None:
            layer, flat = names.index(name), gradient.flatten(1)
            norms[layer, batch.rows] = flat.square().sum(1)
            products[layer, batch.rows] = flat @ v[name].flatten()

        sample_gradients(model, modules, batch.to(device), receive, settings.loss_reduction)

    def weighted(batch: Batch) -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}

        def receive(name: str, gradient: Tensor) -> None:
            sums[name] = torch.einsum("b,b...->...", parts[names.index(name), batch.rows], gradient)

        sample_gradients(model, modules, batch.to(device), receive, settings.loss_reduction)
        return sums

    for batch in _batches(samples, settings, "DataInf, pass 1 of 3"):
        in_halves(measure, batch)
    sizes = torch.tensor([v[name].numel() for name in names], device=device)
    damping = _DAMPING * norms.mean(1) / sizes
    parts = products / (damping[:, None] + norms)
    total = zero_directions(modules, 1)
    for batch in _batches(samples, settings, "DataInf, pass 2 of 3"):
        for sums in in_halves(weighted, batch):
            for name, vector in sums.items():
                total[name][0] += vector
    return {name: (v[name][None] - total[name] / len(samples)) / damping[layer] for layer, name in enumerate(names)}


def _batches(tokens: Sequence[Tokens], settings: ScoringSettings, what: str) -> Any:
    return tracked_batches(tokens, settings.batch_size, settings.batch_tokens, what)
