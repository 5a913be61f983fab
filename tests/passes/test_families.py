"""Scores against plain autograd on several families of models, whatever is trained: 1e-5, in any batch."""

from __future__ import annotations

import pytest
import torch

from bundles import score
from clues.data.tokens import Tokens
from clues.models.adapters import adapter_state, attached
from clues.models.trajectory import Checkpoint
from clues.settings import LoraSettings, ScoringSettings
from families import FAMILIES, family_base
from scoring_oracle import flat, plain_gradient


def tokens(count: int, seed: int, prefix: str) -> list[Tokens]:
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(count):
        length = int(torch.randint(5, 20, (1,), generator=generator))
        ids = torch.randint(3, 96, (length,), generator=generator).tolist()
        rows.append(Tokens(f"{prefix}{number}", "d", ids, int(length / 2), False))
    return rows


def targets(family: str, which: str) -> list[str] | str:
    chosen = FAMILIES[family]
    return {"usual": chosen.targets, "all-linear": "all-linear", "head": [chosen.targets[0], chosen.head]}[which]


CASES = [(family, which) for family in FAMILIES for which in ("usual", "all-linear", "head")]


@pytest.mark.parametrize(("family", "which"), CASES)
def test_scores_are_those_of_autograd_in_any_batch(family, which):
    base = family_base(family)
    lora = LoraSettings(r=2, target_modules=targets(family, which))
    samples, validation = tokens(5, 1, "s"), tokens(2, 2, "v")
    with attached(base, lora, seed=1) as model:
        generator = torch.Generator().manual_seed(3)
        state = {n: torch.randn(t.shape, generator=generator) * 0.1 for n, t in adapter_state(model).items()}
    with attached(base, lora, state) as model:
        model.eval()
        direction = torch.stack([flat(plain_gradient(model, item)) for item in validation]).mean(0)
        gradients = torch.stack([flat(plain_gradient(model, item)) for item in samples])
    expected = {"dot": gradients @ direction, "norm": gradients.norm(dim=1)}
    expected["cosine"] = expected["dot"] / expected["norm"] / direction.norm()
    for size in (1, 2, 5):
        settings = ScoringSettings(method="clues", batch_size=size)
        found = score(base, [Checkpoint(state, 1.0)], lora, samples, validation, settings)
        for name, values in expected.items():
            assert torch.allclose(found[name].double(), values, rtol=1e-5, atol=1e-5 * values.abs().max()), (name, size)
