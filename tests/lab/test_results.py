"""The page of results says what its stored rows do."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "experiments"))
import results

from clues.methods.registry import METHODS


def row(method: str, seed: int, value: float) -> results.Row:
    figures = {"auroc": value, "f1": value}
    return {"method": method, "seed": seed, "threshold": METHODS[method].rule, "client": results.ALL, **figures}


def test_every_table_of_the_page_is_made_of_the_stored_rows(tmp_path, monkeypatch):
    page = tmp_path / "results.md"
    whole = results.PAGE.read_text(encoding="utf-8")
    page.write_text(re.sub(r"(<!-- table: \S+ -->\n).*?(<!-- end -->)", r"\1\2", whole, flags=re.S), encoding="utf-8")
    monkeypatch.setattr(results, "PAGE", page)
    results.main(None)
    assert page.read_text(encoding="utf-8") == whole
    assert "-->\n<!-- end" not in whole


def test_a_method_of_fewer_seeds_shows_their_number():
    found = {"one": [row("auto", 1, 0.9), row("auto", 2, 0.8), row("ppl", 1, 0.7)], "two": [row("auto", 1, 0.6)]}
    assert results.by_experiment(found, "f1").splitlines()[2:] == [
        "| auto | 0.850 ± 0.050 | 0.600 | 0.725 |",
        "| ppl | 0.700 (1) | – | – |",
    ]


def test_methods_are_counted_against_auto_on_the_same_draws():
    found = {"one": [row("auto", 1, 0.9), row("auto", 2, 0.8), row("ppl", 2, 0.8)], "two": [row("auto", 1, 0.6)]}
    found["two"].append(row("ppl", 1, 0.5))
    assert results.against_auto(found).splitlines()[2:] == ["| ppl | 1 of 2 | 1 of 2 |"]
