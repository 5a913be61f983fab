"""What layers and modules contribute to a score, against plain autograd."""

from __future__ import annotations

import pytest
import torch

from bundles import score
from clues.models.adapters import attached
from clues.settings import ScoringSettings
from scoring_oracle import LORA, checkpoint, plain_gradient, tokens

SAMPLES, VALIDATION = tokens(7, 1), tokens(3, 2)
MODULES = [
    f"model.layers.{layer}.{module}"
    for layer in (0, 1)
    for module in ("self_attn.q_proj", "self_attn.v_proj", "mlp.down_proj")
]


def expected(base, points) -> dict[str, torch.Tensor]:
    """Σ_t η_t ⟨∇ℓ, v_t⟩ of every module alone: samples, in float64."""
    total = {module: torch.zeros(len(SAMPLES), dtype=torch.float64) for module in MODULES}
    for point in points:
        with attached(base, LORA, point.state) as model:
            model.eval()
            own, public = ([plain_gradient(model, s) for s in part] for part in (SAMPLES, VALIDATION))
        for module in MODULES:
            names = [name for name in own[0] if f".{module}." in name]
            assert len(names) == 2
            for name in names:
                v = torch.stack([g[name] for g in public]).double().mean(0)
                total[module] += point.learning_rate * torch.stack([(g[name].double() * v).sum() for g in own])
    return total


@pytest.mark.parametrize("by", ["layer", "module"])
def test_parts_are_those_of_plain_autograd_and_sum_to_the_dot_score(base, by):
    points = [checkpoint(base, 0.5), checkpoint(base, 0.25, seed=4)]
    ours = score(base, points, LORA, SAMPLES, VALIDATION, ScoringSettings(by=by, batch_size=3))
    modules = expected(base, points)
    wanted = {f"module {name}": values for name, values in modules.items()}
    if by == "layer":
        wanted = {f"layer {n}": sum(v for name, v in modules.items() if f".{n}." in name) for n in (0, 1)}
    parts = {name: values for name, values in ours.items() if name.startswith(f"{by} ")}
    assert list(parts) == list(wanted)
    for name, values in parts.items():
        assert (values.double() - wanted[name]).abs().max() <= 1e-5 * ours["dot"].abs().max()
    assert torch.allclose(sum(parts.values()), ours["dot"], rtol=1e-4, atol=1e-6 * float(ours["dot"].abs().max()))


def test_without_parts_there_are_no_more_columns_and_the_same_numbers(base):
    plain, parts = (
        score(base, [checkpoint(base)], LORA, SAMPLES, VALIDATION, ScoringSettings(by=by)) for by in ("none", "layer")
    )
    assert set(parts) - set(plain) == {"layer 0", "layer 1"}
    assert all(torch.equal(plain[name], parts[name]) for name in plain)
