"""DataInf (Kwon et al., arXiv 2310.00902): influence by a closed-form damped inverse, layer by layer.

H_l⁻¹ v ≈ 1/(n λ_l) Σ_i (v − ⟨v, g_i⟩ / (λ_l + ‖g_i‖²) · g_i), with λ_l = 0.1 · mean_i ‖g_i‖² / d_l; the score is
⟨H⁻¹ v, g⟩, summed over layers. A layer is one tensor of the adapter. The index i runs over the private samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from clues.data.batches import Batch, batches
from clues.data.tokens import Tokens
from clues.methods.interface import Job, Scores
from clues.models.adapters import attached, lora_modules
from clues.models.trajectory import Trained
from clues.passes.directions import by_domain, weighted_gradients
from clues.passes.gradients import Gradients, batch_products, zero_directions
from clues.passes.memory import in_halves
from clues.passes.numbers import check_numbers
from clues.passes.passes import Passes
from clues.settings import ScoringSettings

_DAMPING = 0.1


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """Influence at the last checkpoint, in three passes."""
    settings = job.scoring
    target = by_domain(job.public.validation, settings.domain_weights)
    with attached(job.base, trained.lora, trained.checkpoints[-1].state) as model:
        model.eval().requires_grad_(False)
        gradients = Gradients(model, lora_modules(model, settings.modules), reduction=settings.loss_reduction)
        of_target = weighted_gradients(gradients, target.samples, shares=target.shares[:, :1], settings=settings)
        v = {name: vectors[0] for name, vectors in of_target.items()}
        inverse = _inverse(gradients, job.private, v=v, settings=settings)
        products = torch.zeros(len(job.scored))

        def multiply(batch: Batch) -> None:
            on_device = batch.to(gradients.device)
            products[batch.rows] = batch_products(gradients, on_device, directions=inverse).dot[:, 0].cpu()

        for batch in _batches(job.scored, settings, what="DataInf, pass 3 of 3"):
            in_halves(multiply, batch)
    check_numbers({"influence": products}, job.scored.id)
    return Scores(score=products)


def _inverse(
    gradients: Gradients, samples: Sequence[Tokens], *, v: Mapping[str, Tensor], settings: ScoringSettings
) -> dict[str, Tensor]:
    """H⁻¹ v: by tensor name, 1 × parameter shape."""
    names, device = gradients.names, gradients.device
    norms, products = (torch.zeros(len(names), len(samples), device=device) for _ in range(2))

    def measure(batch: Batch) -> None:
        def receive(name: str, gradient: Tensor) -> None:
            layer, flat = names.index(name), gradient.flatten(1)
            norms[layer, batch.rows] = flat.square().sum(1)
            products[layer, batch.rows] = flat @ v[name].flatten()

        gradients.receive(batch.to(device), receive)

    def weighted(batch: Batch) -> dict[str, Tensor]:
        sums: dict[str, Tensor] = {}

        def receive(name: str, gradient: Tensor) -> None:
            sums[name] = torch.einsum("b,b...->...", parts[names.index(name), batch.rows], gradient)

        gradients.receive(batch.to(device), receive)
        return sums

    for batch in _batches(samples, settings, what="DataInf, pass 1 of 3"):
        in_halves(measure, batch)
    sizes = torch.tensor([v[name].numel() for name in names], device=device)
    damping = _DAMPING * norms.mean(1) / sizes
    parts = products / (damping[:, None] + norms)
    total = zero_directions(gradients.modules, 1)
    for batch in _batches(samples, settings, what="DataInf, pass 2 of 3"):
        for sums in in_halves(weighted, batch):
            for name, vector in sums.items():
                total[name][0] += vector
    return {name: (v[name][None] - total[name] / len(samples)) / damping[layer] for layer, name in enumerate(names)}


def _batches(tokens: Sequence[Tokens], settings: ScoringSettings, *, what: str) -> Iterator[Batch]:
    return batches(tokens, batch_size=settings.batch_size, batch_tokens=settings.batch_tokens, what=what)
