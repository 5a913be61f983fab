"""A base in bfloat16: its adapter stays in float32, and scores are those of float32 up to bfloat16's rounding."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from bundles import fit, score
from clues.models.adapters import attached
from clues.models.base import Base, load_base
from clues.settings import ModelSettings, ScoringSettings, TrainingSettings
from scoring_oracle import LORA, checkpoint, random_state, tokens

SAMPLES = tokens(40, 1)


@pytest.fixture(scope="module")
def half(tiny_model: Path) -> Base:
    return load_base(ModelSettings(id=str(tiny_model), device="cpu", dtype="bfloat16"))


def ranks(values: torch.Tensor) -> torch.Tensor:
    return values.argsort().argsort().double()


@pytest.mark.parametrize("state", [False, True])
def test_the_adapter_is_in_float32(base, half, state):
    with attached(half, LORA, random_state(base) if state else None) as model:
        kinds = {("lora_" in name, parameter.dtype) for name, parameter in model.named_parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}


@pytest.mark.parametrize("preconditioner", ["none", "adam-frozen", "adam"])
def test_scores_agree_with_those_of_float32(base, half, preconditioner):
    """bfloat16 has 8 bits: differences up to 5 % of the largest score, and ranks correlate to 0.99."""
    points = [checkpoint(base, 0.5), checkpoint(base, 0.25, seed=4)]
    settings = ScoringSettings(preconditioner=preconditioner)
    exact, rounded = (score(b, points, LORA, SAMPLES, tokens(5, 2), settings) for b in (base, half))
    for name in ("cosine", "dot", "loss", "norm"):
        assert rounded[name].dtype == torch.float32
        assert not torch.equal(exact[name], rounded[name])  # the base really was in bfloat16
        assert (exact[name] - rounded[name]).abs().max() <= 0.05 * exact[name].abs().max(), name
        assert torch.corrcoef(torch.stack([ranks(exact[name]), ranks(rounded[name])]))[0, 1] >= 0.99, name


def test_training_keeps_the_adapter_finer_than_bfloat16(half):
    state = fit(half, LORA, SAMPLES[:8], TrainingSettings(steps=3), seed=1)
    assert any(not torch.equal(tensor, tensor.bfloat16().float()) for name, tensor in state.items() if "lora_B" in name)
