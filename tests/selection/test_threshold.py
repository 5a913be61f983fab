from __future__ import annotations

import numpy as np
import pytest

from clues.errors import SelectionError
from clues.selection.metrics import selection_metrics
from clues.selection.threshold import fit_threshold
from clues.settings import SelectionSettings

ANCHORS = {"a": np.array([1.0, 3.0]), "b": np.array([10.0, 30.0])}


@pytest.mark.parametrize(
    ("rule", "value"),
    [("anchor-mean", 11.0), ("anchor-quantile", 1.6), ("anchor-normalised", 1.0), ("score", 0.0)],
)
def test_rules_give_one_number_for_all(rule, value):
    threshold = fit_threshold(ANCHORS, SelectionSettings(threshold=rule))
    assert threshold.value == pytest.approx(value)


def test_normalised_compares_with_the_clients_own_anchors():
    threshold = fit_threshold(ANCHORS, SelectionSettings(threshold="anchor-normalised"))
    assert threshold.keep(np.array([1.9, 2.0]), "a").tolist() == [False, True]
    assert threshold.keep(np.array([19.9, 20.0]), "b").tolist() == [False, True]


def test_negative_anchor_means_do_not_turn_the_order_round():
    threshold = fit_threshold({"a": np.array([-2.0, -4.0])}, SelectionSettings(threshold="anchor-normalised"))
    assert threshold.keep(np.array([-5.0, -1.0]), "a").tolist() == [False, True]


def test_deviation_lies_k_deviations_below_the_mean():
    settings = SelectionSettings(threshold="anchor-deviation", deviations=1.0)
    assert fit_threshold({"a": np.array([0.0, 2.0])}, settings).value == pytest.approx(0.0)


def test_ratio_keeps_the_best_share():
    threshold = fit_threshold(ANCHORS, SelectionSettings(threshold="ratio", ratio=0.5))
    assert threshold.keep(np.array([1.0, 4.0, 3.0, 2.0]), "a").tolist() == [False, True, True, False]


def test_oracle_ratio_needs_labels():
    with pytest.raises(SelectionError, match="needs labels of a, b"):
        fit_threshold(ANCHORS, SelectionSettings(threshold="oracle-ratio"))
    shares = {"a": 0.25, "b": 1.0}
    threshold = fit_threshold(ANCHORS, SelectionSettings(threshold="oracle-ratio"), shares)
    assert threshold.keep(np.array([1.0, 4.0, 3.0, 2.0]), "a").sum() == 1


def test_scores_and_anchors_must_be_numbers():
    nan = np.array([float("nan")])
    with pytest.raises(SelectionError, match="anchor scores of a are not numbers"):
        fit_threshold({"a": nan}, SelectionSettings())
    with pytest.raises(SelectionError, match="client a: some scores are not numbers"):
        fit_threshold(ANCHORS, SelectionSettings()).keep(nan, "a")


def test_metrics_take_good_as_positive():
    found = selection_metrics([3.0, 2.0, 1.0, 0.0], [True, True, False, False], ["", "cut", "", "delete"])
    assert (found["precision"], found["recall"], found["f1"], found["accuracy"]) == (0.5, 0.5, 0.5, 0.5)
    assert found["auroc"] == 0.75
    assert found["auroc_by_kind"] == {"cut": 0.5, "delete": 1.0}


def test_auroc_is_undefined_where_nothing_is_bad():
    assert selection_metrics([1.0], [True], [""])["auroc"] is None


def test_posterior_keeps_what_is_rather_good_than_not():
    threshold = fit_threshold(ANCHORS, SelectionSettings(threshold="posterior"))
    assert threshold.keep(np.array([-0.1, 0.0, 3.0]), "a").tolist() == [False, True, True]
