"""Rows out of the metrics of many runs, and the Markdown tables made of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
_SELECTION = ("precision", "recall", "f1", "accuracy", "auroc")


def selection_rows(metrics: Mapping[str, Any], labels: Mapping[str, Any]) -> list[Row]:
    """One row a client and rule: the chosen rule of the run, and every other on the same scores.

    Args:
        labels: what the run was (method, mode, seed), put into every row.
    """
    chosen = metrics["threshold"]["rule"]
    rules = {chosen: {name: client["selection"] for name, client in metrics["clients"].items()}}
    for name, by_client in metrics["variants"].items():
        column, _, rule = name.partition(" ")
        if column in ("score", "cosine"):
            rules.setdefault(rule, by_client)
    return [
        {**labels, "threshold": rule, "client": client, **_flat(found)}
        for rule, by_client in rules.items()
        for client, found in by_client.items()
    ]


def model_rows(metrics: Mapping[str, Any], labels: Mapping[str, Any]) -> list[Row]:
    """One row a domain and arm, with the held-out NLL and the share of the gap from mixed to oracle recovered."""
    rows = []
    for domain, figures in metrics["evaluation"].items():
        gap = figures["mixed"]["nll"] - figures["oracle"]["nll"] if {"mixed", "oracle"} <= set(figures) else 0.0
        for arm, found in figures.items():
            recovered = (figures["mixed"]["nll"] - found["nll"]) / gap if gap else None
            rows.append({**labels, "domain": domain, "arm": arm, "nll": found["nll"], "recovered": recovered})
    return rows


def selection_table(rows: Sequence[Row]) -> str:
    """A line a method and rule: the mean over clients within a seed, then mean ± standard error over seeds."""
    kinds = sorted({key for row in rows for key in row if key.startswith("auroc ")})
    columns = [*_SELECTION, *kinds]
    lines = [_line(["method", "threshold", *columns]), _line(["---"] * (2 + len(columns)))]
    for method, threshold in _unique(rows, "method", "threshold"):
        chosen = [row for row in rows if (row["method"], row["threshold"]) == (method, threshold)]
        lines.append(_line([method, threshold, *[_over_seeds(chosen, column) for column in columns]]))
    return "\n".join(lines)


def model_table(rows: Sequence[Row]) -> str:
    """A line a method, mode and arm: held-out NLL by domain, mean ± standard error over seeds."""
    domains = sorted({row["domain"] for row in rows})
    lines = [_line(["method", "mode", "arm", *domains]), _line(["---"] * (3 + len(domains)))]
    for method, mode, arm in _unique(rows, "method", "mode", "arm"):
        chosen = [row for row in rows if (row["method"], row["mode"], row["arm"]) == (method, mode, arm)]
        figures = [_over_seeds([row for row in chosen if row["domain"] == domain], "nll") for domain in domains]
        lines.append(_line([method, mode, arm, *figures]))
    return "\n".join(lines)


def _over_seeds(rows: Sequence[Row], column: str) -> str:
    by_seed = []
    for (seed,) in _unique(rows, "seed"):
        values = [row[column] for row in rows if row["seed"] == seed and row.get(column) is not None]
        if values:
            by_seed.append(statistics.mean(values))
    if not by_seed:
        return "–"
    if len(by_seed) == 1:
        return f"{by_seed[0]:.3f}"
    return f"{statistics.mean(by_seed):.3f} ± {statistics.stdev(by_seed) / len(by_seed) ** 0.5:.3f}"


def _flat(found: Mapping[str, Any]) -> Row:
    kinds = {f"auroc {kind}": value for kind, value in found.get("auroc_by_kind", {}).items()}
    return {**{key: value for key, value in found.items() if key != "auroc_by_kind"}, **kinds}


def _unique(rows: Iterable[Row], *keys: str) -> list[tuple[Any, ...]]:
    return list(dict.fromkeys(tuple(row[key] for key in keys) for row in rows))


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
