"""Terminal tables of results."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from clues.evaluation.figures import measure, measured_in
from clues.io.progress import reports_json
from clues.methods.registry import Method
from clues.report.pages import compared
from clues.settings import SelectionSettings


def show(*tables: Table) -> None:
    # No markup: names may contain brackets.
    width = None if sys.stdout.isatty() else 120
    console = Console(file=sys.stdout, width=width, markup=False, emoji=False)
    for table in tables:
        console.print(table)


def pages(folder: Path) -> list[str]:
    """A line for each page of a run or of a selection. An owner's page is in the owner's folder."""
    return [f"Page: {page}" for page in (folder / "report.html", *sorted(folder.glob("clients/*/report.html")))]


def next_steps(folder: Path, result: Mapping[str, Any], settings: SelectionSettings) -> list[str]:
    """What an owner may want to do after a selection: drop what checks found, and decide where scores do not."""
    found, steps = [name for name in result["checks"] if name not in settings.drop], list[str]()
    if found:
        drop = ",".join([*settings.drop, *found])
        steps.append(f"To drop what checks found, whatever its score: clues select {folder} --drop {drop}")
    if "note" in result and result["rule"] == "posterior":
        steps.append(f"To cut at the anchors' scores instead: clues select {folder} --threshold anchor-quantile")
        steps.append(f"To mark some samples yourself: clues review {folder}")
    return steps


def present(result: Any, *shown: Table | str) -> None:
    """Print a result as tables and texts or, with --json, as one line."""
    if reports_json():
        print(json.dumps({"event": "result", "result": result}, ensure_ascii=False))
        return
    for each in shown:
        if isinstance(each, str):
            print(each)
        else:
            show(each)


def selection_table(metrics: Mapping[str, Any], title: str) -> Table:
    """A row per client: samples, unusable, kept, and with labels precision, recall, F1 and AUROC, also by type."""
    clients = metrics["clients"]
    kinds = sorted({kind for c in clients.values() for kind in c["selection"].get("auroc_by_kind", {})})
    labelled = any("f1" in c["selection"] for c in clients.values())
    unusable = any(c.get("unusable") for c in clients.values())
    columns = ["client", "samples", *(["unusable"] if unusable else []), "kept"]
    columns += ["precision", "recall", "F1", "AUROC", *[f"AUROC {kind}" for kind in kinds]] if labelled else []
    table = _table(title, columns)
    for name, client in clients.items():
        selection = client["selection"]
        dropped = [str(client.get("unusable", 0))] if unusable else []
        row = [name, str(client["samples"]), *dropped, str(selection["kept"])]
        if labelled:
            row += [_number(selection.get(key)) for key in ("precision", "recall", "f1", "auroc")]
            row += [_number(selection.get("auroc_by_kind", {}).get(kind)) for kind in kinds]
        table.add_row(*row)
    return table


def variants_table(metrics: Mapping[str, Any]) -> Table:
    """A row per similarity and threshold: what each would have kept, averaged over clients."""
    table = _table("Other rules on the same gradients", ["score, rule", "kept", "precision", "recall", "F1"])
    for name, by_client in metrics["variants"].items():
        rows = list(by_client.values())
        label = name + (" (the paper's)" if name == "paper anchor-mean" else "")
        figures = [_number(_mean([row.get(key) for row in rows])) for key in ("precision", "recall", "f1")]
        table.add_row(label, str(sum(row["kept"] for row in rows)), *figures)
    return table


def remark(metrics: Mapping[str, Any]) -> str:
    """A remark if the paper's threshold keeps less than 60 % of the good samples, else empty."""
    rows = metrics["variants"].get("paper anchor-mean", {}).values()
    recall = _mean([row.get("recall") for row in rows])
    if recall is None or recall >= 0.6:
        return ""
    return (
        f"The paper's threshold, the anchors' mean, keeps {recall:.0%} of the good samples here: about half of all "
        "good samples lie below the mean of samples like them. A low quantile of the anchors keeps more."
    )


def evaluation_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """A table per measured metric: a row per domain, a column per arm."""
    domains = metrics["evaluation"]
    arms = list(dict.fromkeys(arm for figures in domains.values() for arm in figures))
    tables = []
    for key in measured_in(domains):
        table = _table(measure(key).heading, ["domain", *arms])
        for domain, figures in domains.items():
            if any(key in figures[arm] for arm in arms):
                table.add_row(domain, *[_number(figures[arm].get(key)) for arm in arms])
        tables.append(table)
    return tables


def comparison_tables(metrics: Mapping[str, Any]) -> list[Table]:
    """A table of the differences between the selected and the other models, unless there are none."""
    tables = []
    for differences in compared(metrics["comparisons"]):
        table = _table(differences.title, differences.columns)
        for line in differences.lines:
            table.add_row(*line)
        tables.append(table)
    return tables


def facts_table(title: str, facts: Mapping[str, Any]) -> Table:
    table = _table(title, ["", ""])
    table.show_header = False
    for key, value in facts.items():
        table.add_row(key, _number(value) if isinstance(value, float | None) else str(value))
    return table


def texts_table(title: str, facts: Mapping[str, str]) -> Table:
    """A row per fact, whose text may take several lines."""
    table = Table(title=title, title_justify="left", show_header=False)
    for key, value in facts.items():
        table.add_row(key, value)
    return table


def methods_table(methods: Mapping[str, Method]) -> Table:
    """A row per scoring method."""
    columns = ["method", "score", "source", "passes of a sample", "needs training on"]
    table = Table(title="Scoring methods, for --method", title_justify="left")
    for column in columns:
        table.add_column(column)
    needs = {"private": "the samples", "validation": "the validation set", "none": "nothing"}
    for name, method in methods.items():
        table.add_row(name, method.title, method.source, method.cost, needs[method.trajectory])
    return table


def flat(result: dict[str, Any]) -> dict[str, Any]:
    """A result with a row for each AUROC by corruption type and for each check."""
    rows = {key: value for key, value in result.items() if key not in ("auroc_by_kind", "checks")}
    rows |= {f"auroc {kind}": value for kind, value in result.get("auroc_by_kind", {}).items()}
    return rows | {f"check: {name}": count for name, count in result["checks"].items()}


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    return table


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
