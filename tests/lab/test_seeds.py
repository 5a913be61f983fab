from __future__ import annotations

import pytest

from clues.lab.seeds import by_seed, mean_and_error, share_of_gain


def rows(own, oracle):
    return [{"seed": n, "own": o, "oracle": g} for n, (o, g) in enumerate(zip(own, oracle, strict=True))]


def test_rows_of_a_seed_are_taken_together_and_missing_values_left_out():
    found = [{"seed": 1, "x": 1.0}, {"seed": 1, "x": 2.0}, {"seed": 2, "x": None}, {"seed": 3}]
    assert by_seed(found, "x") == {1: 1.5}
    assert by_seed(found, "x", reduce=sum) == {1: 3.0}


def test_mean_and_standard_error():
    assert mean_and_error([]) is None
    assert mean_and_error([2.0]) == (2.0, None)
    assert mean_and_error([1.0, 2.0, 3.0]) == pytest.approx((2.0, 1 / 3**0.5))


def test_a_share_is_a_ratio_of_means_with_the_error_of_the_ratio_estimator():
    share, error = share_of_gain(rows([0.3, 0.5, 0.4], [0.5, 0.5, 0.5]), "own", "oracle")
    assert share == pytest.approx(0.8)
    assert error == pytest.approx(mean_and_error([0.6, 1.0, 0.8])[1])  # with equal gains the plain one
    assert share_of_gain(rows([0.1, 0.4], [0.2, 0.9]), "own", "oracle") is None  # a gain within two errors of it
    assert share_of_gain(rows([0.2, 0.25], [0.4, 0.5]), "own", "oracle") == pytest.approx((0.5, 0.0))


@pytest.mark.parametrize("gains", [[0.0], [0.009], [-0.3], [0.3, -0.3, 0.3], []])
def test_nothing_is_divided_by_a_gain_within_noise(gains):
    assert share_of_gain(rows([1.0] * len(gains), gains), "own", "oracle") is None


def test_one_seed_has_a_share_without_an_error():
    assert share_of_gain(rows([0.1], [0.2]), "own", "oracle") == (0.5, None)
