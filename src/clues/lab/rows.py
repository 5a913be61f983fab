"""Rows out of the metrics of finished runs: what the Parquet files hold and the tables are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Row = dict[str, Any]
LEAST_GAIN = 0.01  # nats; a smaller gain of the oracle is nothing to take a share of
ALL = "all clients"
_FIGURES = ("nll", "perplexity", "token_f1", "rouge_l")


def selection_rows(metrics: Mapping[str, Any], labels: Mapping[str, Any]) -> list[Row]:
    """One row a client and rule, and one of all clients' samples together: the run's own rule first, then every other.

    Args:
        labels: what the run was (method, mode, variant, seed), put into every row.
    """
    chosen = metrics["threshold"]["rule"]
    rules = {chosen: {name: client["selection"] for name, client in metrics["clients"].items()}}
    for name, by_client in metrics["variants"].items():
        column, _, rule = name.partition(" ")
        if column == "score":
            rules.setdefault(rule, by_client)
    rows = []
    for rule, by_client in rules.items():
        every = by_client | {ALL: together(list(by_client.values()))}
        rows += [{**labels, "threshold": rule, "client": client, **_flat(found)} for client, found in every.items()]
    return rows


def model_rows(metrics: Mapping[str, Any], labels: Mapping[str, Any]) -> list[Row]:
    """One row a domain and arm: what was measured, and how it stands to the arms base, mixed and oracle.

    `over_base` and `over_mixed` are differences of held-out NLL, positive where this arm is better;
    `oracle_over_base` and `oracle_over_mixed` are those of the oracle, and `share_over_base` and `share_over_mixed`
    the one over the other, the latter the share of the gap from mixed to oracle that is recovered. None stands where
    an arm was not evaluated, and for a share where the oracle gains less than `LEAST_GAIN`.
    """
    rows = []
    for domain, figures in metrics["evaluation"].items():
        nll = {arm: found["nll"] for arm, found in figures.items()}
        for arm, found in figures.items():
            row = {**labels, "domain": domain, "arm": arm, **{key: found.get(key) for key in _FIGURES}}
            for reference in ("base", "mixed"):
                own, oracle = _difference(nll, reference, arm), _difference(nll, reference, "oracle")
                row[f"over_{reference}"], row[f"oracle_over_{reference}"] = own, oracle
                row[f"share_over_{reference}"] = _share(own, oracle)
            rows.append(row)
    return rows


def cost_rows(costs: Mapping[str, Mapping[str, Any]], labels: Mapping[str, Any]) -> list[Row]:
    """One row a client: the seconds its scoring took, and its forward and backward passes of a sample."""
    return [{**labels, "client": client, **cost} for client, cost in costs.items()]


def together(found: Sequence[Mapping[str, Any]]) -> Row:
    """Counts of all clients, and the figures that follow from them.

    AUROC: how often, of a good and a low-quality sample of the same client, the good one has the higher score. Scores
    of different clients are not compared; a client counts by its pairs.
    """
    if not all("good" in one for one in found):
        return {}
    kept, dropped, good, right = (sum(one[name] for one in found) for name in ("kept", "dropped", "good", "kept_good"))
    kinds = sorted({kind for one in found for kind in one["low_by_kind"]})
    return {
        "kept": kept,
        "dropped": dropped,
        "good": good,
        "kept_good": right,
        "precision": right / kept if kept else 0.0,
        "recall": right / good if good else 0.0,
        "f1": 2 * right / (kept + good) if kept + good else 0.0,
        "accuracy": (dropped - (good - right) + right) / (kept + dropped),
        "auroc": _by_pairs([(one["auroc"], one["good"] * sum(one["low_by_kind"].values())) for one in found]),
        "auroc_by_kind": {
            kind: _by_pairs(
                [
                    (one["auroc_by_kind"][kind], one["good"] * one["low_by_kind"][kind])
                    for one in found
                    if kind in one["low_by_kind"]
                ]
            )
            for kind in kinds
        },
    }


def _by_pairs(figures: Sequence[tuple[float | None, int]]) -> float | None:
    known = [(value, pairs) for value, pairs in figures if value is not None]
    pairs = sum(count for _, count in known)
    return sum(value * count for value, count in known) / pairs if pairs else None


def _difference(nll: Mapping[str, float], reference: str, arm: str) -> float | None:
    return nll[reference] - nll[arm] if reference in nll and arm in nll else None


def _share(own: float | None, oracle: float | None) -> float | None:
    return None if own is None or oracle is None or oracle < LEAST_GAIN else own / oracle


def _flat(found: Mapping[str, Any]) -> Row:
    kinds = {f"auroc {kind}": value for kind, value in found.get("auroc_by_kind", {}).items()}
    return {key: value for key, value in found.items() if not key.endswith("_by_kind")} | kinds
