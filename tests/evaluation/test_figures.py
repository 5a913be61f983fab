from __future__ import annotations

import math

from clues.evaluation.figures import figures, joined, measured


def test_figures_are_of_the_known_values_and_the_unknown_are_counted():
    found = figures({"x": {"nll": [1.0, 3.0], "judge_10": [4.0, math.nan]}, "y": {"judge_10": [math.nan]}})
    assert found == {
        "x": {"nll": 2.0, "perplexity": math.exp(2), "tests": 2, "judge_10": 4.0, "judged": 1, "not_judged": 1},
        "y": {"judge_10": None, "judged": 0, "not_judged": 1},
    }


def test_measures_are_known_from_counts_and_the_harness_own_come_last():
    found = figures(
        {"x": {"f1 strict": [1.0], "accuracy": [1.0], "nll": [2.0], "chance": [0.5], "judge_1": [math.nan]}}
    )
    assert measured(found["x"]) == ["nll", "judge_1", "accuracy", "f1 strict"]


def test_measures_of_one_domain_from_several_parts_are_joined():
    assert joined([{"b": {"nll": [1.0]}}, {"a": {"nll": [2.0]}, "b": {"token_f1": [0.5]}}]) == {
        "a": {"nll": [2.0]},
        "b": {"nll": [1.0], "token_f1": [0.5]},
    }
