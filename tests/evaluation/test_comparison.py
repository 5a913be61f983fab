from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from clues.evaluation.comparison import comparisons, interval


def told(measure, selected, other, arm="mixed"):
    values = {arm: {"x": {measure: list(other)}}, "selected": {"x": {measure: list(selected)}}}
    (row,) = comparisons(values)
    return row


def test_the_interval_is_that_of_a_percentile_bootstrap_over_pairs():
    differences = np.random.default_rng(3).normal(0.3, 1.0, size=60)
    wanted = stats.bootstrap((differences,), np.mean, n_resamples=20_000, method="percentile", rng=1)
    assert interval(differences) == pytest.approx(tuple(wanted.confidence_interval), abs=0.02)
    assert interval(differences) == interval(differences)


def test_a_small_difference_on_every_sample_is_told_however_much_samples_differ():
    hard = np.linspace(0.5, 8.0, 40)  # unpaired, the two arms would be the same
    wobble = np.sin(np.arange(40)) * 0.02
    row = told("nll", hard - 0.05 + wobble, hard)
    assert row["difference"] == pytest.approx(-0.05, abs=0.01)
    assert row["low"] < row["difference"] < row["high"] < 0
    assert row["verdict"] == "selected is better than mixed"
    assert told("nll", hard, hard - 0.05 + wobble)["verdict"] == "selected is worse than mixed"


def test_higher_is_better_for_all_but_nll():
    right, wrong = [1.0] * 30 + [0.0] * 10, [0.0] * 40
    assert told("accuracy", right, wrong, "base")["verdict"] == "selected is better than base"
    assert told("accuracy", wrong, right, "base")["verdict"] == "selected is worse than base"


@pytest.mark.parametrize(
    ("differing", "verdict"),
    [
        (0, "no difference can be told with 40 questions, as the models differ in none of them"),
        (5, "no difference can be told with 40 questions, as the models differ in 5 of them"),
        (6, "selected is better than mixed"),
    ],
)
def test_no_verdict_on_fewer_samples_than_chance_puts_on_one_side(differing, verdict):
    row = told("accuracy", [1.0] * 40, [0.0] * differing + [1.0] * (40 - differing))
    assert (row["low"] > 0) == (differing > 0)
    assert row["verdict"] == verdict


def test_one_sample_alone_decides_nothing():
    row = told("nll", [1.0], [2.0])
    assert (row["low"], row["high"], row["verdict"]) == (-1.0, -1.0, "no difference can be told with 1 test")


def test_the_selected_arm_is_compared_with_every_other_in_all_that_was_measured():
    of_arm = {"x": {"nll": [1.0, 2.0]}, "y": {"accuracy": [0.0], "accuracy_norm": [1.0], "chance": [0.5]}}
    rows = comparisons({"base": of_arm, "selected": of_arm, "oracle": of_arm})
    assert [(row["domain"], row["measure"], row["other"]) for row in rows] == [
        (domain, measure, other)
        for domain, measure in (("x", "nll"), ("y", "accuracy"), ("y", "accuracy_norm"))
        for other in ("base", "oracle")
    ]
    assert comparisons({"base": of_arm, "mixed": of_arm}) == []


def test_samples_that_a_judge_gave_no_verdict_on_do_not_count():
    scores = [math.nan, 3.0, *[2.0] * 8]
    row = told("judge_10", scores, [1.0, math.nan, *[1.0] * 8])
    assert (row["difference"], row["verdict"]) == (1.0, "selected is better than mixed")
    alike = told("judge_10", scores, scores)["verdict"]
    assert alike == "no difference can be told with 9 answers, as the models differ in none of them"
    none = told("judge_10", [math.nan], [1.0])
    assert (none["difference"], none["low"]) == (None, None)
    assert none["verdict"] == "no difference can be told, as no verdict of the judge can be read"


def test_a_wide_interval_is_told_by_the_number_of_tests():
    noise = np.random.default_rng(1).normal(size=40)
    assert told("nll", 2 + noise, 2 - noise)["verdict"] == "no difference can be told with 40 tests"
