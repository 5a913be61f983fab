"""The default score as a whole: whose samples tell of quality, and that nothing depends on the batches."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from clues.data.prompts import Tokens
from clues.methods.default.auto import _agreement, _needed, halved
from clues.methods.registry import Data, Trained, method
from clues.settings import ScoringSettings
from scoring_oracle import LORA, checkpoint, tokens


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
    halves = Counter(t.domain for t in halved(validation))
    assert len(halves) == 2 * len({t.domain for t in validation})
    assert max(halves.values()) - min(halves.values()) <= 1
    domain = validation[0].domain
    found = {f"{domain} / half 1": torch.tensor([0.2, 0.9]), f"{domain} / half 2": torch.tensor([0.4, 0.5])}
    inside = Tokens("v", f"{domain} / half 1", [1, 2], 1, False)
    outside = Tokens("s", domain, [1, 2], 1, False)
    assert _agreement([outside, inside], [domain, domain], found).tolist() == pytest.approx([0.3, 0.5])
