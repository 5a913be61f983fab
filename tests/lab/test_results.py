"""The page of results says what its stored rows do."""

from __future__ import annotations

import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "experiments"))
import results

from clues.io.files import write_rows
from clues.methods.registry import METHODS


def row(method: str, seed: int, value: float) -> results.Row:
    figures = {"auroc": value, "f1": value}
    return {"method": method, "seed": seed, "threshold": METHODS[method].rule, "client": results.ALL, **figures}


def test_every_table_of_the_page_is_made_of_the_stored_rows(tmp_path, monkeypatch):
    whole = {tmp_path / page.name: page.read_text(encoding="utf-8") for page in results.PAGES}
    for page, text in whole.items():
        # The tables of sensitivity.py come from runs, not from stored rows.
        stored = r"(<!-- table: (?!sensitivity|types|reviewed)\S+ -->\n).*?(<!-- end -->)"
        emptied = re.sub(stored, r"\1\2", text, flags=re.S)
        page.write_text(emptied, encoding="utf-8")
    monkeypatch.setattr(results, "PAGES", list(whole))
    results.main(None)
    for page, text in whole.items():
        assert page.read_text(encoding="utf-8") == text
        assert "-->\n<!-- end" not in text


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


def selected(method: str, *, variant: str = "", client: str = "owner", seed: int = 1, **figures: float) -> results.Row:
    counts = {"kept": 6, "dropped": 4, "good": 5, "f1": 0.5, "auroc": 0.5}
    return row(method, seed, 0.5) | {"variant": variant, "client": client} | counts | figures


def test_the_sets_of_an_experiment_are_its_variants_or_its_clients(tmp_path):
    assert results.sets_of(tmp_path / "none.parquet") == {}
    for column, others in (("variant", {}), ("client", {"variant": ""})):
        of_set = [selected("auto", **{column: name}, **others, auroc=value) for name, value in (("a", 0.9), ("b", 0.7))]
        write_rows(tmp_path / "rows.parquet", [*of_set, *[one | {"client": results.ALL} for one in of_set]])
        sets = results.sets_of(tmp_path / "rows.parquet")
        assert results.by_experiment(sets, "auroc").splitlines() == [
            "| method | a | b | mean |",
            "| --- | --- | --- | --- |",
            "| auto | 0.900 | 0.700 | 0.800 |",
        ]


def test_the_bench_has_a_line_per_kind_and_what_each_method_keeps(tmp_path):
    kinds = {"auroc cut": 0.9, "auroc refusal": 0.6}
    rows = [
        selected("auto", variant="a", f1=0.8, auroc=0.7, **kinds),
        selected("auto", variant="a", seed=2, f1=0.6, auroc=0.9, **kinds),
        selected("auto", variant="b", kept=1, dropped=9, f1=0.2, auroc=0.5, **{"auroc cut": 0.7}),
        selected("ppl", variant="a", kept=10, dropped=0, **{"auroc cut": 0.4}),
    ]
    write_rows(tmp_path / "rows.parquet", rows)
    sets = results.sets_of(tmp_path / "rows.parquet")
    tables = results.bench_tables({"real/equal": {}, "kinds/all": sets})
    assert tables["real/equal"] == "Not run yet."
    assert tables["kinds/all"].splitlines() == [
        "| type | auto | ppl |",
        "| --- | --- | --- |",
        "| cut | 0.800 | 0.400 |",
        "| refusal | 0.600 | – |",
        "| all together | 0.650 | 0.500 |",
    ]
    assert tables["selections"].splitlines() == [
        "| method | kinds/all: kept | kinds/all: F1 |",
        "| --- | --- | --- |",
        "| auto | 0.350 | 0.450 |",
        "| ppl | 1.000 | 0.500 |",
        "| everything | 1.000 | 0.667 |",
    ]
    assert results.bench_tables({"real/equal": {}})["selections"] == "Not run yet."


def test_rows_of_experiments_in_folders_are_taken_in(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "STORED", tmp_path / "stored")
    monkeypatch.setattr(results, "MODELS", tmp_path / "stored/models")
    for name in ("medical", "real/equal", "real/equal/seed-1", "other"):
        write_rows(tmp_path / "runs" / name / "selection.parquet", [{"name": name}])
        write_rows(tmp_path / "runs" / name / "models.parquet", [{"name": name}] if name == "other" else [])
    results.take_in(tmp_path / "runs")
    stored = {path.relative_to(tmp_path / "stored").as_posix() for path in (tmp_path / "stored").rglob("*.parquet")}
    assert stored == {"medical.parquet", "real/equal.parquet", "models/other.parquet"}
