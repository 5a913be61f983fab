"""The default score as a whole: whose samples tell of quality, and that nothing depends on the batches."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from bundles import job, scores
from clues.methods.default.rows import halves, needed_domains, rows_of
from clues.methods.default.score import _agreement, nearest_domains
from clues.models.trajectory import Trained
from clues.passes.agreement import Agreement
from scoring_oracle import LORA, checkpoint, tokens


def test_auto_is_the_same_for_any_batch_size_and_scores_anchors_too(base):
    parts = tokens(5, 1), tokens(4, 4, prefix="a"), tokens(6, 2, prefix="v")
    columns = [
        scores(job(base, *parts, scoring={"batch_size": size}), Trained(LORA, [checkpoint(base)])).columns
        for size in (2, 16)
    ]
    assert len(columns[0]["score"]) == 9
    for name in columns[0]:
        assert torch.allclose(columns[0][name], columns[1][name], rtol=1e-4, atol=1e-4), name


def test_public_samples_of_other_domains_tell_nothing_here():
    assert needed_domains(["a"], anchors=["a", "b"], validation=["a", "b"]) == {"a"}
    assert needed_domains(["mine"], anchors=["anchors"], validation=["a", "b"]) == {"a", "b", "anchors"}


def test_agreement_is_the_cosine_with_the_half_a_sample_is_not_in():
    validation = tokens(6, 2, prefix="v")
    sizes = Counter(halves(validation))
    assert len(sizes) == 2
    assert max(sizes.values()) - min(sizes.values()) <= 1
    rows = rows_of(tokens(1, 1), anchors=[], validation=validation)
    groups, cosine = [("d", 0), ("d", 1)], torch.zeros(len(rows.tokens), 3)
    cosine[:, 1:] = torch.tensor([0.2, 0.4])
    nothing = torch.zeros(len(rows.tokens))
    found = Agreement(groups=groups, dot=cosine, cosine=cosine, paper=nothing, loss=nothing, norm=nothing, parts={})
    values = _agreement(rows, nearest_domains(rows, found), gradients=found)
    assert values[0].item() == pytest.approx(0.3)
    for half in (0, 1):
        inside = values[torch.from_numpy(rows.half == half)]
        assert len(inside) == 9  # three samples, and two copies of each
        assert inside.tolist() == pytest.approx([(0.4, 0.2)[half]] * 9)
