"""How signals become the odds of being good."""

from __future__ import annotations

import torch

from clues.scoring.calibration import fitted, standardised


def test_signals_are_centred_at_the_clean_samples_of_their_domain():
    signals = torch.tensor([[1.0], [3.0], [2.0], [11.0], [13.0], [14.0]])
    clean = torch.tensor([True, True, False, True, True, False])
    found = standardised(signals, ["a", "a", "a", "b", "b", "b"], clean)
    assert found[:, 0].tolist() == [-1, 1, 0, -1, 1, 2]


def test_log_odds_learn_which_signal_tells_and_none_counts_against_its_meaning():
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(400, 3, generator=generator, dtype=torch.float64)
    good = torch.arange(400) < 200
    signals[~good, 0] -= 2.0  # tells
    signals[~good, 1] += 2.0  # tells, the wrong way round
    odds = fitted(signals, good, [~good])(signals)
    assert ((odds > 0) == good).double().mean() > 0.8
    kept = signals * torch.tensor([1.0, 0.0, 1.0])
    assert torch.allclose(odds, fitted(kept, good, [~good])(kept), atol=0.05)


def test_one_way_of_damage_is_enough_to_condemn():
    generator = torch.Generator().manual_seed(0)
    signals = torch.randn(400, 5, generator=generator, dtype=torch.float64)
    row = torch.arange(400)
    good, ways = row < 200, [(row >= 200) & (row % 5 == way) for way in range(5)]
    for signal, way in enumerate(ways):
        signals[way, signal] -= 3.0  # each way shows in its own signal alone
    apart = fitted(signals, good, ways)(signals)
    together = fitted(signals, good, [~good])(signals)
    wrong = [float(((odds > 0) != good).double().mean()) for odds in (apart, together)]
    assert wrong[0] < 0.2
    assert wrong[0] < wrong[1]
