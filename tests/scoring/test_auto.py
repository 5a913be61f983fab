"""The default score: damage, calibration, and what it says of samples whose quality is known."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from clues.config import ScoringSettings
from clues.data.prompts import Tokens
from clues.scoring.auto import _agreement, _halved, _needed
from clues.scoring.calibration import log_odds, standardised
from clues.scoring.damage import WAYS, damaged
from clues.scoring.methods import Data, Trained, method
from clues.scoring.signals import likelihood_signals, with_other_prompts
from scoring_oracle import LORA, checkpoint, tokens


def test_every_way_damages_the_response_and_leaves_prompt_and_end():
    clean = tokens(len(WAYS), 1)
    for before, after in zip(clean, damaged(clean, 1), strict=True):
        start = before.response_start
        assert after.input_ids[:start] == before.input_ids[:start]
        assert after.input_ids[-1] == before.input_ids[-1]
        assert after.input_ids != before.input_ids
    assert damaged(clean, 1) == damaged(clean, 1)


def test_other_prompts_are_of_the_own_domain_and_never_the_own():
    public = [Tokens(str(n), "ab"[n % 2], [n, 100, 7], 2, False) for n in range(6)]
    for before, after in zip(public, with_other_prompts(public, public), strict=True):
        assert after.input_ids[0] != before.input_ids[0]
        assert after.input_ids[0] % 2 == before.input_ids[0] % 2
        assert after.input_ids[after.response_start :] == before.input_ids[before.response_start :]


def test_readings_of_token_losses_against_transformers(base):
    sample = tokens(1, 3)[0]
    found = likelihood_signals(base, [sample], ScoringSettings(), "", lambda _, compute: compute(), "own")
    ids = torch.tensor([sample.input_ids])
    with torch.no_grad():
        logits = base.model(input_ids=ids).logits[0].log_softmax(-1)
    positions = range(sample.response_start, len(sample.input_ids))
    losses = torch.tensor([-float(logits[p - 1, sample.input_ids[p]]) for p in positions])
    highest = losses.sort(descending=True).values[: max(1, len(losses) // 4)]
    wanted = {"loss": losses[:-1].mean(), "peak": highest.mean(), "end": losses[-1]}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float(value) for name, value in wanted.items()}, rel=1e-4
    )


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
    odds = log_odds(signals, good, ~good)
    assert ((odds > 0) == good).double().mean() > 0.8
    assert torch.allclose(odds, log_odds(signals * torch.tensor([1.0, 0.0, 1.0]), good, ~good), atol=0.05)


def test_auto_is_the_same_for_any_batch_size_and_scores_anchors_too(base):
    data = Data(tokens(5, 1), tokens(4, 4, prefix="a"), tokens(6, 2, prefix="v"))
    columns = [
        method("auto").score(
            Trained(base, [checkpoint(base)], LORA), data, ScoringSettings(batch_size=size), lambda _, c: c()
        )
        for size in (2, 16)
    ]
    assert len(columns[0]["score"]) == 9
    for name in columns[0]:
        assert torch.allclose(columns[0][name], columns[1][name], rtol=1e-4, atol=1e-4), name


def test_public_samples_of_other_domains_tell_nothing_here():
    def of(*domains):
        return [Tokens(str(n), domain, [1, 2, 3], 1, False) for n, domain in enumerate(domains)]

    assert _needed(of("a"), of("a", "b"), of("a", "b")) == {"a"}
    assert _needed(of("mine"), of("anchors"), of("a", "b")) == {"a", "b", "anchors"}


def test_agreement_is_the_cosine_with_the_half_a_sample_is_not_in():
    validation = tokens(6, 2, prefix="v")
    halves = Counter(t.domain for t in _halved(validation))
    assert len(halves) == 2 * len({t.domain for t in validation})
    assert max(halves.values()) - min(halves.values()) <= 1
    domain = validation[0].domain
    found = {f"{domain} / half 1": torch.tensor([0.2, 0.9]), f"{domain} / half 2": torch.tensor([0.4, 0.5])}
    inside = Tokens("v", f"{domain} / half 1", [1, 2], 1, False)
    outside = Tokens("s", domain, [1, 2], 1, False)
    assert _agreement([outside, inside], [domain, domain], found).tolist() == pytest.approx([0.3, 0.5])
