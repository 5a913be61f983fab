from __future__ import annotations

import pytest

from clues.lab.rows import cost_rows, model_rows, selection_rows
from clues.lab.tables import markdown, model_table, tables


def metrics(method, variant, mixed=1.5):
    """Of two clients and two domains; what a method selects, and what a variant trains, is its own."""
    better = {"clues": 0.1, "ppl": 0.05}[method] + {"ties": 0.0, "exact": 0.02}[variant]
    auroc = {"clues": 0.9, "ppl": 0.8}[method]
    verdict = {
        "kept": 3,
        "dropped": 1,
        "good": 2,
        "kept_good": 2,
        "low_by_kind": {"cut": 2},
        "precision": 0.5,
        "recall": 1.0,
        "f1": 0.6,
        "accuracy": 0.7,
        "auroc": auroc,
    }
    by_client = {
        "a": {**verdict, "auroc_by_kind": {"cut": 1.0}},
        "b": {**verdict, "auroc": auroc - 0.4, "auroc_by_kind": {"cut": None}},
    }
    arms = {"base": 3.0, "mixed": mixed, "selected": mixed - better, "oracle": mixed - 0.2}
    answers = {"token_f1": 0.25, "rouge_l": 0.375}
    return {
        "clients": {client: {"selection": found} for client, found in by_client.items()},
        "threshold": {"rule": "anchor-mean"},
        "variants": {"score ratio": by_client, "paper anchor-quantile": by_client},
        "evaluation": {
            "x": {arm: {"nll": nll, "perplexity": 2.0, **answers} for arm, nll in arms.items()},
            "y": {arm: {"nll": nll + 1, "perplexity": 2.0} for arm, nll in arms.items()},
        },
    }


@pytest.fixture
def made():
    selection, models, costs = [], [], []
    for seed in (1, 2):
        for variant in ("ties", "exact"):
            for method in ("clues", "ppl"):
                labels = {"seed": seed, "mode": "merging", "variant": variant, "method": method}
                found = metrics(method, variant, 1.5 + seed / 10)
                selection += selection_rows(found, labels)
                models += model_rows(found, labels)
                costs += cost_rows({c: {"seconds": seed, "forward": 10, "backward": 5} for c in "ab"}, labels)
    return selection, models, costs


def lines(made, title):
    (table,) = [table for table in tables(*made) if table.title == title]
    return [dict(zip(table.columns, line, strict=True)) for line in table.lines]


def test_what_no_variant_changes_stands_once_and_without_it(made):
    found = lines(made, "Selection")
    assert [(line["method"], line["threshold"]) for line in found] == [
        (m, t) for m in ("clues", "ppl") for t in ("anchor-mean", "ratio")
    ]
    assert "variant" not in found[0]
    assert "mode" not in found[0]
    assert found[0]["auroc"] == "0.700 ± 0.000"  # as many pairs in both clients: the mean of 0.9 and 0.5
    assert found[0]["auroc cut"] == "1.000 ± 0.000"
    # Of both clients together: 4 of the 6 kept are good, and no good one is dropped.
    assert [found[0][name][:5] for name in ("precision", "recall", "f1", "accuracy")] == [
        "0.667",
        "1.000",
        "0.800",
        "0.750",
    ]


def test_auroc_by_client(made):
    assert lines(made, "AUROC by client") == [
        {"method": "clues", "a": "0.900 ± 0.000", "b": "0.500 ± 0.000"},
        {"method": "ppl", "a": "0.800 ± 0.000", "b": "0.400 ± 0.000"},
    ]


def test_arms_that_no_method_and_no_variant_changes_stand_once(made):
    found = lines(made, "Held-out: x")
    by_line = {(line["arm"], line["method"], line["variant"]): line for line in found}
    assert list(by_line) == [
        ("base", "–", "–"),
        ("mixed", "–", "–"),
        *[("selected", method, variant) for method in ("clues", "ppl") for variant in ("ties", "exact")],
        ("oracle", "–", "–"),
    ]
    assert by_line["mixed", "–", "–"]["NLL"] == "1.650 ± 0.050"
    line = by_line["selected", "ppl", "exact"]
    assert (line["mixed − NLL"], line["recovered"]) == ("0.070 ± 0.000", "35% ± 0%")
    assert (line["token F1"], line["ROUGE-L"]) == ("0.250 ± 0.000", "0.375 ± 0.000")
    share = (3 - 1.65 + 0.1) / (3 - 1.65 + 0.2)
    assert by_line["selected", "clues", "ties"]["of oracle's gain"].startswith(f"{share:.0%} ± ")
    assert by_line["oracle", "–", "–"]["recovered"] == "100% ± 0%"


def test_figures_that_were_not_measured_have_no_column(made):
    assert "token F1" not in lines(made, "Held-out: y")[0]
    mean = {(line["arm"], line["variant"]): line for line in lines(made, "Held-out: mean of the domains")}
    assert mean["base", "–"]["NLL"] == "3.500 ± 0.000"


def test_a_domain_of_questions_has_accuracies_only():
    quiz = {arm: {"accuracy": value, "accuracy_norm": value / 2} for arm, value in (("base", 0.5), ("oracle", 0.75))}
    labels = {"seed": 1, "mode": "merging", "variant": "", "method": "auto"}
    rows = model_rows({"evaluation": {"quiz": quiz}}, labels)
    table = model_table("quiz", rows)
    assert table.columns == ["arm", "method", "accuracy", "accuracy by character"]
    assert table.lines == [["base", "auto", "0.500", "0.250"], ["oracle", "auto", "0.750", "0.375"]]


def test_no_share_of_an_oracle_that_gains_nothing(made):
    selection, models, costs = made
    for row in models:
        row["oracle_over_mixed"] = 0.001
    found = lines((selection, models, costs), "Held-out: x")
    assert {line["recovered"] for line in found} == {"–"}
    assert all(line["mixed − NLL"] != "–" for line in found)


def test_rows_hold_the_shares_of_their_own_seed():
    found = {(row["domain"], row["arm"]): row for row in model_rows(metrics("clues", "ties"), {"seed": 1})}
    row = found["x", "selected"]
    assert row["share_over_mixed"] == pytest.approx(0.1 / 0.2)
    assert row["share_over_base"] == pytest.approx(1.6 / 1.7)
    close = metrics("clues", "ties")
    close["evaluation"]["x"]["oracle"]["nll"] = 1.495
    assert {row["share_over_mixed"] for row in model_rows(close, {}) if row["domain"] == "x"} == {None}


def test_an_arm_that_was_not_evaluated_is_told_as_unknown():
    found = metrics("clues", "ties")
    del found["evaluation"]["x"]["oracle"], found["evaluation"]["x"]["mixed"]
    (base, selected) = [row for row in model_rows(found, {}) if row["domain"] == "x"]
    assert (base["arm"], selected["arm"]) == ("base", "selected")
    assert (selected["over_mixed"], selected["oracle_over_base"]) == (None, None)
    assert selected["over_base"] == pytest.approx(1.6)


def test_costs_are_those_of_all_clients_together(made):
    assert lines(made, "Cost of scoring") == [
        {"method": "–", "seconds": "3.0 ± 1.0", "forward passes": "20 ± 0", "backward passes": "10 ± 0"}
    ]


def test_markdown_has_a_table_for_each(made):
    text = markdown(tables(*made))
    assert text.count("\n| ---") == len(tables(*made)) == text.count("# ")
    assert "| clues | anchor-mean |" in text


def test_arms_that_differ_by_rounding_alone_stand_once(made):
    selection, models, costs = made
    for row in models:
        if row["method"] == "ppl" and row["arm"] == "oracle":
            row["nll"] += 1e-7
    assert [line["arm"] for line in lines((selection, models, costs), "Held-out: x")].count("oracle") == 1
