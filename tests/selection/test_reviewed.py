from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit

from clues.selection.reviewed import best_limit, updated_log_odds, worth_reviewing

GOOD = np.arange(40) < 20
FEATURES = np.random.default_rng(1).normal(size=(40, 2))


def test_without_judgements_the_score_stays():
    log_odds = np.linspace(-4, 4, 40)
    assert np.allclose(updated_log_odds(log_odds, FEATURES, judged={}), log_odds, atol=1e-6)


def test_judgements_move_the_share_of_good_samples():
    log_odds = np.full(40, 2.0)
    updated = updated_log_odds(log_odds, np.zeros((40, 2)), judged=dict.fromkeys(range(10), False))
    assert (updated < 0).all()


def test_judgements_reveal_the_feature_that_matters():
    telling = FEATURES.copy()
    telling[:, 0] += np.where(GOOD, 2.0, -2.0)
    judged = {row: bool(GOOD[row]) for row in range(0, 40, 4)}
    updated = updated_log_odds(np.zeros(40), telling, judged=judged)
    assert ((updated > 0) == GOOD).sum() >= 36


def test_parameters_are_the_maximum_of_the_posterior():
    log_odds, features = np.linspace(-2, 2, 6), FEATURES[:6]
    judged = {0: True, 3: False, 5: True}
    updated = torch.from_numpy(updated_log_odds(log_odds, features, judged=judged))
    terms = torch.from_numpy(np.column_stack([log_odds, np.ones(6), features - features.mean(0)]))
    parameters = torch.linalg.lstsq(terms, updated[:, None]).solution[:, 0].requires_grad_()
    sign = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    fit = torch.nn.functional.logsigmoid(sign * (terms[[0, 3, 5]] @ parameters)).sum()
    away = (parameters - torch.tensor([1.0, 0, 0, 0])) / torch.tensor([0.5, 2.0, 0.5, 0.5])
    (fit - away.square().sum() / 2).backward()
    assert parameters.grad.abs().max() < 1e-4


def test_the_best_limit_has_the_greatest_expected_f1():
    log_odds = np.random.default_rng(2).normal(size=30) * 3
    good = expit(log_odds)

    def expected(limit):
        kept = log_odds >= limit
        return float(2 * good[kept].sum() / (kept.sum() + good.sum()))

    assert expected(best_limit(log_odds)) == pytest.approx(max(expected(float(limit)) for limit in log_odds))


def test_suggestions_cover_the_order_of_the_scores():
    scores = np.random.default_rng(3).permutation(100).astype(float)
    rows = worth_reviewing(scores, 5)
    assert scores[rows].tolist() == [50, 25, 99, 0, 74]  # the middle, then the halves
    assert sorted(worth_reviewing(scores[:3], 20)) == [0, 1, 2]
