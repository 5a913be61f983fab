from __future__ import annotations

import pytest
import torch

from clues.merging.merging import merge_adapters
from clues.models.adapters import adapter_state, attached
from clues.settings import LoraSettings, MergingSettings

LORA = LoraSettings(r=2, alpha=4)


def merge(base, states, weights, settings):
    return merge_adapters(base, [(s, LORA) for s in states], weights=weights, settings=settings, seed=1)


def random_adapter(base, seed):
    generator = torch.Generator().manual_seed(seed)
    with attached(base, LORA) as model:
        return {n: torch.randn(t.shape, generator=generator) for n, t in adapter_state(model).items()}


def updates(state, lora) -> dict[str, torch.Tensor]:
    """ΔW = α/r · B A of every module."""
    names = [n.removesuffix(".lora_A.weight") for n in state if "lora_A" in n]
    return {n: lora.alpha / lora.r * state[f"{n}.lora_B.weight"] @ state[f"{n}.lora_A.weight"] for n in names}


@pytest.fixture
def adapters(base):
    return [random_adapter(base, seed) for seed in (1, 2, 3)]


@pytest.mark.parametrize("weights", [[1, 1, 1], [3, 1, 0]])
def test_exact_is_the_weighted_mean_of_the_updates(base, adapters, weights):
    state, lora = merge(base, adapters, weights, MergingSettings(method="exact", scale=0.5))
    assert lora.r == 6
    each = [updates(adapter, LORA) for adapter in adapters]
    for name, merged in updates(state, lora).items():
        expected = 0.5 * sum(w / sum(weights) * one[name] for w, one in zip(weights, each, strict=True))
        assert torch.allclose(merged, expected, atol=1e-5)


def test_linear_has_cross_terms_that_exact_has_not(base, adapters):
    linear, lora = merge(base, adapters, [1, 1, 1], MergingSettings(method="linear"))
    exact, exact_lora = merge(base, adapters, [1, 1, 1], MergingSettings(method="exact"))
    one, other = updates(linear, lora), updates(exact, exact_lora)
    assert not any(torch.allclose(one[name], other[name], atol=1e-3) for name in one)


def test_svd_is_the_best_approximation_of_its_rank(base, adapters):
    state, lora = merge(base, adapters, [1, 1, 1], MergingSettings(method="svd"))
    exact, exact_lora = merge(base, adapters, [1, 1, 1], MergingSettings(method="exact"))
    assert lora.r == LORA.r
    for name, merged in updates(state, lora).items():
        whole = updates(exact, exact_lora)[name]
        lost = torch.linalg.svdvals(whole)[LORA.r :].square().sum().sqrt()
        assert torch.dist(merged, whole) == pytest.approx(float(lost), rel=1e-3)


@pytest.mark.parametrize("method", ["linear", "ties", "dare-linear", "dare-ties", "svd", "exact"])
def test_every_method_repeats_by_its_seed_and_leaves_the_base_bare(base, adapters, method):
    settings = MergingSettings(method=method, density=0.5)
    one, two = (merge(base, adapters, [1, 1, 1], settings)[0] for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not any("lora" in name for name, _ in base.model.named_modules())


def test_identical_adapters_merge_to_themselves(base, adapters):
    own = updates(adapters[0], LORA)
    for method in ("linear", "ties", "svd", "exact"):
        settings = MergingSettings(method=method, density=1.0)
        state, lora = merge(base, [adapters[0]] * 3, [1, 1, 1], settings)
        for name, merged in updates(state, lora).items():
            assert torch.allclose(merged, own[name], atol=1e-4), method
