"""Cosines with directions that a sample may be part of."""

from __future__ import annotations

import torch

from clues.passes.directions import cosines, cosines_with_others


def test_a_sample_is_left_out_of_the_mean_it_is_part_of():
    gradients = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    mean, norms = gradients.mean(0, keepdim=True), gradients.norm(dim=1)
    found = cosines_with_others(gradients @ mean.T, norms, mean.norm(dim=1), sizes=torch.tensor([5]))
    others = (gradients.sum(0) - gradients) / 4
    assert torch.allclose(found[:, 0], torch.cosine_similarity(gradients, others), atol=1e-5)
    assert (found < cosines(gradients @ mean.T, norms, mean.norm(dim=1))).all()


def test_a_mean_of_one_gradient_leaves_nothing():
    one = torch.ones(1, 3)
    assert cosines_with_others(one @ one.T, one.norm(dim=1), one.norm(dim=1), sizes=torch.tensor([1])).isnan().all()
