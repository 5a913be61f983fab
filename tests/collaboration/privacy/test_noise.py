"""Clipping is exact, noise is Gaussian and follows no seed."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import kstest

from clues.collaboration.privacy.noise import privatised, released_anchors, with_noise
from clues.errors import ProtocolError
from clues.settings import AnchorNoise, NoiseSettings

SETTINGS = NoiseSettings(clipping_norm=0.5, noise_multiplier=0.25)  # a deviation of 0.25
TINY = NoiseSettings(clipping_norm=0.5, noise_multiplier=1e-7)


def states(size: float = 1.0, count: int = 20_000):
    generator = torch.Generator().manual_seed(0)
    initial = {"A": torch.randn(4, count // 4, generator=generator), "B": torch.zeros(7)}
    update = {name: size * torch.randn(t.shape, generator=generator) for name, t in initial.items()}
    return {name: initial[name] + update[name] for name in initial}, initial


def norm(state, initial) -> float:
    return float(torch.cat([(state[name] - initial[name]).double().flatten() for name in state]).norm())


def test_noise_has_the_stated_distribution():
    _, initial = states()
    noised = privatised(initial, initial, SETTINGS).state
    values = (noised["A"] - initial["A"]).flatten().numpy()
    assert kstest(values / SETTINGS.deviation, "norm").pvalue > 1e-6


def test_an_update_is_clipped_as_a_whole():
    state, initial = states()
    result = privatised(state, initial, TINY)
    assert result.norm == pytest.approx(norm(state, initial), rel=1e-6)
    assert norm(result.state, initial) == pytest.approx(0.5, rel=1e-3)
    small, initial = states(size=1e-3)
    kept = privatised(small, initial, TINY).state
    assert norm(kept, initial) == pytest.approx(norm(small, initial), rel=1e-3)


def test_the_seed_decides_nothing_and_is_left_alone():
    state, initial = states()
    results = []
    for _ in range(2):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        before = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
        results.append(privatised(state, initial, SETTINGS).state)
        assert torch.equal(before[0], torch.get_rng_state())
        assert np.array_equal(before[1], np.random.get_state()[1])
        assert before[2] == random.getstate()
    assert (results[0]["A"] == results[1]["A"]).float().mean() < 0.01


def test_results_are_on_a_lattice_that_does_not_depend_on_the_values():
    """The last bits of floating-point noise would betray the value that it is added to."""
    step = 2.0**-22  # 2^-20 of the power of two below the deviation
    for values in (np.zeros(1000), np.random.default_rng(0).normal(size=1000)):
        noised = with_noise(values, 0.25) / step
        assert np.array_equal(noised, np.rint(noised))


def test_what_cannot_be_noised_is_refused():
    state, initial = states()
    with pytest.raises(ProtocolError, match="names or shapes"):
        privatised({"A": state["A"]}, initial, SETTINGS)
    with pytest.raises(ProtocolError, match="not a number"):
        privatised({**state, "B": torch.full((7,), float("nan"))}, initial, SETTINGS)


def test_an_update_of_zero():
    _, initial = states()
    assert norm(privatised(initial, initial, TINY).state, initial) < 1e-3


def test_anchor_scores_exact_noised_or_none():
    scores = torch.linspace(-3, 3, 10_000, dtype=torch.float64)
    assert released_anchors(scores, AnchorNoise()) is scores
    assert released_anchors(scores, AnchorNoise(release="none")) is None
    noised = released_anchors(scores, AnchorNoise(release="noised", noise_multiplier=0.01))
    noise = (noised - scores.clamp(-1, 1)).numpy()
    assert kstest(noise / (0.01 * 2 * 100), "norm").pvalue > 1e-6  # the range is 2, and √10,000 is 100


def test_anchor_settings_and_scores_that_are_wrong():
    with pytest.raises(ValidationError, match="low: must be below high"):
        AnchorNoise(low=1.0)
    with pytest.raises(ProtocolError, match="not numbers"):
        released_anchors(torch.tensor([float("nan")]), AnchorNoise())
