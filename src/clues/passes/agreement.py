"""Agreement of gradients along a trajectory: ⟨∇ℓ(z; φ_t), v_t⟩, summed or averaged over its checkpoints.

S(z) = Σ_t η_t ⟨∇ℓ(z; φ_t), v_t⟩ with v_t = Σ_m w_m · mean over V_m of ∇ℓ (arXiv 2507.03004).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import torch
from torch import Tensor

from clues.data.batches import Batch
from clues.data.tokens import Tokens
from clues.models.adapters import attached, lora_facts, lora_modules
from clues.models.trajectory import Checkpoint, Trained
from clues.passes.directions import G, Target, cosines, cosines_with_others, direction_lengths
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
    `others`: the cosines with the groups as they would be without the sample itself, for samples of the target whose
    gradients are made as those of `samples` are, and not contrasted: samples × groups.
    `paper`: Σ_t η_t ⟨∇ℓ, v_t⟩ without contrast; `loss`, `norm`: the sample's loss and gradient norm, averaged with
    weights η_t: samples. `parts`: each adapter part's contribution to the first column of `dot`: samples.
    """

    groups: list[G]
    dot: Tensor
    cosine: Tensor
    others: Tensor
    paper: Tensor
    loss: Tensor
    norm: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class _Products:
    """Computes a batch's columns: `products` with every direction, `norm`, `loss`, and `parts` where asked for."""

    gradients: Gradients
    directions: Mapping[str, Tensor]
    part_of: Mapping[str, str]
    projected: bool

    def __call__(self, batch: Batch) -> Columns:
        on_device = batch.to(self.gradients.device)
        if self.projected:
            products = projected_products(self.gradients, on_device, directions=self.directions)
        else:
            directions, part_of = self.directions, self.part_of
            products = batch_products(self.gradients, on_device, directions=directions, part_of=part_of)
        columns = {"products": products.dot, "norm": products.squared_norm.sqrt(), "loss": products.loss}
        return columns | ({"parts": torch.stack([*products.parts.values()], dim=1)} if products.parts else {})


def agreement(
    trained: Trained, samples: Sequence[Tokens], *, target: Target[G], settings: ScoringSettings, passes: Passes
) -> Agreement[G]:
    """Pass over the samples at every checkpoint. No per-sample gradient outlives its batch.

    Raises:
        ConfigError: an unknown module glob, or moments that the trajectory lacks.
        ScoringError: a computed value is not finite; names the sample's id.
    """
    count, columns = len(samples), 2 + len(target.names)
    dot, cosine = torch.zeros(count, columns), torch.zeros(count, columns)
    others, sizes = torch.zeros(count, columns - 2), Counter(target.groups)
    loss, norm = torch.zeros(count), torch.zeros(count)
    parts: dict[str, Tensor] = {}
    weights = mean_shares([checkpoint.learning_rate for checkpoint in trained.checkpoints])
    for number, (checkpoint, weight) in enumerate(zip(trained.checkpoints, weights, strict=True), start=1):
        with attached(passes.base, trained.lora, checkpoint.state) as model:
            model.eval().requires_grad_(False)
            compute = _products(model, checkpoint, target=target, settings=settings)
            what = f"scoring, checkpoint {number} of {len(trained.checkpoints)}"
            inputs = [lora_facts(trained.lora), checkpoint, target.facts, _choices(settings)]
            result = passes.over(samples, compute, inputs=inputs, what=what)
        lengths, rate = direction_lengths(compute.directions), checkpoint.learning_rate
        dot += rate * result["products"]
        # A mean over checkpoints, so that a cosine stays between −1 and 1.
        cosine += weight * cosines(result["products"], result["norm"], lengths)
        of_groups = result["products"][:, 2:], result["norm"], lengths[2:]
        others += weight * cosines_with_others(*of_groups, sizes=torch.tensor([sizes[name] for name in target.names]))
        loss += weight * result["loss"]
        norm += weight * result["norm"]
        for column, name in enumerate(dict.fromkeys(compute.part_of.values())):
            parts[name] = parts.get(name, torch.zeros(count)) + rate * result["parts"][:, column]
    return Agreement(
        groups=target.names,
        dot=_without_plain(dot),
        cosine=_without_plain(cosine),
        others=others,
        paper=dot[:, 1].clone(),
        loss=loss,
        norm=norm,
        parts=parts,
    )


def _products(model: Any, checkpoint: Checkpoint, *, target: Target[G], settings: ScoringSettings) -> _Products:
    modules = lora_modules(model, settings.modules)
    transform = preconditioner(settings.preconditioner, checkpoint, device=modules[0].a.weight.device)
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
    """The settings that the products depend on. The similarity does not: it is computed from the products."""
    return settings.model_dump(include={"preconditioner", "apply_to", "loss_reduction", "modules", "by", "projection"})


def _without_plain(values: Tensor) -> Tensor:
    """The columns without that of the uncontrasted sum."""
    return torch.cat([values[:, :1], values[:, 2:]], dim=1)


def mean_shares(rates: Sequence[float]) -> list[float]:
    """Each checkpoint's weight in a mean: in proportion to its learning rate, or equal where every rate is 0."""
    total = sum(rates)
    return [rate / total for rate in rates] if total else [1 / len(rates)] * len(rates)
