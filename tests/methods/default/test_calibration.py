"""How signals become the odds of being good."""

from __future__ import annotations

import pytest
import torch

from clues.methods.default.calibration import against_all, fitted, standardised


def test_signals_are_centred_at_the_clean_samples_of_their_domain():
    signals = torch.tensor([[1.0], [3.0], [2.0], [11.0], [13.0], [14.0]])
    clean = torch.tensor([True, True, False, True, True, False])
    found = standardised(signals, ["a", "a", "a", "b", "b", "b"], clean=clean)
    assert found[:, 0].tolist() == [-1, 1, 0, -1, 1, 2]


def test_log_odds_learn_which_signal_tells_and_none_counts_against_its_meaning():
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(400, 3, generator=generator, dtype=torch.float64)
    good = torch.arange(400) < 200
    signals[~good, 0] -= 2.0  # tells
    signals[~good, 1] += 2.0  # tells, the wrong way round
    odds = fitted(signals, good=good, by_type=[~good])(signals)[:, 0]
    assert ((odds > 0) == good).double().mean() > 0.8
    kept = signals * torch.tensor([1.0, 0.0, 1.0])
    assert torch.allclose(odds, fitted(kept, good=good, by_type=[~good])(kept)[:, 0], atol=0.05)


def test_one_way_of_damage_is_enough_to_condemn():
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(400, 5, generator=generator, dtype=torch.float64)
    row = torch.arange(400)
    good, ways = row < 200, [(row >= 200) & (row % 5 == way) for way in range(5)]
    for signal, way in enumerate(ways):
        signals[way, signal] -= 3.0  # each way shows in its own signal alone
    apart = against_all(fitted(signals, good=good, by_type=ways)(signals), torch.full((5,), 0.2))
    together = fitted(signals, good=good, by_type=[~good])(signals)[:, 0]
    wrong = [float(((odds > 0) != good).double().mean()) for odds in (apart, together)]
    assert wrong[0] < 0.2
    assert wrong[0] < wrong[1]


def test_odds_against_all_ways_are_of_the_mean_density():
    odds = torch.tensor([[1.0, -2.0]], dtype=torch.float64)
    found = against_all(odds, torch.tensor([0.25, 0.75], dtype=torch.float64))
    density = 0.25 * torch.tensor(-1.0).exp() + 0.75 * torch.tensor(2.0).exp()
    assert found.item() == pytest.approx(-density.log().item())
