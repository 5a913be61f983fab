"""Agreement of gradients along a trajectory: ⟨∇ℓ(z; φ_t), v_t⟩, summed or averaged over its checkpoints.

S(z) = Σ_t η_t ⟨∇ℓ(z; φ_t), v_t⟩ with v_t = Σ_m w_m · mean over V_m of ∇ℓ (arXiv 2507.03004).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import torch
from torch import Tensor

from clues.data.batches import Batch
from clues.data.tokens import Tokens
from clues.models.adapters import attached, lora_facts, lora_modules
from clues.models.trajectory import Checkpoint, Trained
from clues.passes.directions import G, Target, cosines, direction_lengths
from clues.passes.gradients import Gradients, batch_products
from clues.passes.parts import part_names
from clues.passes.passes import Columns, Passes
from clues.passes.preconditioners import preconditioner
from clues.passes.projection import project_directions, projected_products
from clues.settings import ScoringSettings


@dataclass(frozen=True, kw_only=True)
class Agreement(Generic[G]):
    """How gradients agree with a target, over all checkpoints.

    `dot` is Σ_t η_t times the inner products, `cosine` their mean with weights η_t: samples × (all, then the groups).
    `paper`: Σ_t η_t ⟨∇ℓ, v_t⟩ with nothing contrasted; `loss`, `norm`: of the sample and its gradient, averaged with
    weights η_t: samples. `parts`: by part of the adapter, what it contributes to the first column of `dot`: samples.
    """

    groups: list[G]
    dot: Tensor
    cosine: Tensor
    paper: Tensor
    loss: Tensor
    norm: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class _Products:
    """What a pass computes of a batch: `products` with every direction, `norm`, `loss`, and `parts`, on the CPU."""

    gradients: Gradients
    directions: Mapping[str, Tensor]
    part_of: Mapping[str, str]
    projected: bool

    def __call__(self, batch: Batch) -> Columns:
        on_device = batch.to(self.gradients.device)
        if self.projected:
            products = projected_products(self.gradients, on_device, self.directions)
        else:
            products = batch_products(self.gradients, on_device, self.directions, self.part_of)
        columns = {"products": products.dot, "norm": products.squared_norm.sqrt(), "loss": products.loss}
        return columns | ({"parts": torch.stack([*products.parts.values()], dim=1)} if products.parts else {})


def agreement(
    trained: Trained, samples: Sequence[Tokens], *, target: Target[G], settings: ScoringSettings, passes: Passes
) -> Agreement[G]:
    """Pass over the samples at every checkpoint. No gradient of a sample outlives its batch.

    Raises:
        ConfigError: an unknown module glob, or moments that the trajectory lacks.
        ScoringError: something that is computed is not a number; names the sample's id.
    """
    count, columns = len(samples), 2 + len(target.names)
    dot, cosine = torch.zeros(count, columns), torch.zeros(count, columns)
    loss, norm = torch.zeros(count), torch.zeros(count)
    parts: dict[str, Tensor] = {}
    mean = mean_shares([checkpoint.learning_rate for checkpoint in trained.checkpoints])
    for number, (checkpoint, weight) in enumerate(zip(trained.checkpoints, mean, strict=True), start=1):
        with attached(passes.base, trained.lora, checkpoint.state) as model:
            model.eval().requires_grad_(False)
            compute = _products(model, checkpoint, target, settings)
            what = f"scoring, checkpoint {number} of {len(trained.checkpoints)}"
            inputs = [lora_facts(trained.lora), checkpoint, target.facts, _choices(settings)]
            made = passes.over(samples, compute, inputs=inputs, what=what)
        lengths, rate = direction_lengths(compute.directions), checkpoint.learning_rate
        dot += rate * made["products"]
        # A mean over checkpoints, so that a cosine stays between −1 and 1.
        cosine += weight * cosines(made["products"], made["norm"], lengths)
        loss += weight * made["loss"]
        norm += weight * made["norm"]
        for column, name in enumerate(dict.fromkeys(compute.part_of.values())):
            parts[name] = parts.get(name, torch.zeros(count)) + rate * made["parts"][:, column]
    return Agreement(
        groups=target.names,
        dot=_total(dot),
        cosine=_total(cosine),
        paper=dot[:, 1].clone(),
        loss=loss,
        norm=norm,
        parts=parts,
    )


def _products(model: Any, checkpoint: Checkpoint, target: Target[G], settings: ScoringSettings) -> _Products:
    modules = lora_modules(model, settings.modules)
    transform = preconditioner(settings.preconditioner, checkpoint, modules[0].a.weight.device)
    of_target = transform if settings.apply_to == "both" else None
    directions = target.directions(Gradients(model, modules, of_target, settings.loss_reduction), settings)
    if settings.projection:
        directions = project_directions(directions, settings.projection)
    return _Products(
        gradients=Gradients(model, modules, transform, settings.loss_reduction),
        directions=directions,
        part_of=part_names(modules, settings.by),
        projected=settings.projection > 0,
    )


def _choices(settings: ScoringSettings) -> dict[str, Any]:
    """What of the settings the products depend on; the similarity is computed from them."""
    return settings.model_dump(include={"preconditioner", "apply_to", "loss_reduction", "modules", "by", "projection"})


def _total(values: Tensor) -> Tensor:
    """Without the column of the plain sum."""
    return torch.cat([values[:, :1], values[:, 2:]], dim=1)


def mean_shares(rates: Sequence[float]) -> list[float]:
    """How much each checkpoint counts in a mean: by its learning rate, or all alike where every rate is 0."""
    total = sum(rates)
    return [rate / total for rate in rates] if total else [1 / len(rates)] * len(rates)
