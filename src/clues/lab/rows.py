"""Converting the metrics of finished runs to the rows of Parquet files and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Row = dict[str, Any]
LEAST_GAIN = 0.01  # nats; no shares of smaller gains of the oracle are computed
ALL = "all clients"
_FIGURES = (
    "nll",
    "perplexity",
    "exact_match",
    "token_f1",
    "rouge_l",
    "judge_10",
    "judge_1",
    "accuracy",
    "accuracy_norm",
)


def selection_rows(metrics: Mapping[str, Any], labels: Mapping[str, Any]) -> list[Row]:
    """One row per rule and client, and per rule one of all clients' samples pooled. The run's own rule comes first.

    Args:
        labels: the run's method, mode, variant and seed, added to every row.
    """
    own_rule = metrics["threshold"]["rule"]
    rules = {own_rule: {name: client["selection"] for name, client in metrics["clients"].items()}}
    for name, by_client in metrics["variants"].items():
        column, _, rule = name.partition(" ")
        if column == "score":
            rules.setdefault(rule, by_client)
    rows = []
    for rule, by_client in rules.items():
        selections = by_client | {ALL: pooled(list(by_client.values()))}
        rows += [{**labels, "threshold": rule, "client": client, **_flat(s)} for client, s in selections.items()]
    return rows


def model_rows(metrics: Mapping[str, Any], labels: Mapping[str, Any]) -> list[Row]:
    """One row per domain and arm: its metrics, and its gains over the arms base and mixed, also relative to the oracle.

    `over_base` and `over_mixed` are differences in held-out NLL (nats), positive if this arm is better;
    `oracle_over_base` and `oracle_over_mixed` are those of the oracle; `share_over_base` and `share_over_mixed` their
    ratios, the latter the share of the gap between mixed and oracle that is recovered. Values are None if an arm was
    not evaluated, and shares also if the oracle gains less than `LEAST_GAIN`.
    """
    rows = []
    for domain, by_arm in metrics["evaluation"].items():
        nll = {arm: figures["nll"] for arm, figures in by_arm.items() if "nll" in figures}
        for arm, figures in by_arm.items():
            row = {**labels, "domain": domain, "arm": arm, **{key: figures.get(key) for key in _FIGURES}}
            for reference in ("base", "mixed"):
                gain, oracle = _gain(nll, arm, over=reference), _gain(nll, "oracle", over=reference)
                row[f"over_{reference}"], row[f"oracle_over_{reference}"] = gain, oracle
                row[f"share_over_{reference}"] = _share(gain, oracle)
            rows.append(row)
    return rows


def cost_rows(costs: Mapping[str, Mapping[str, Any]], labels: Mapping[str, Any]) -> list[Row]:
    """One row per client: the seconds its scoring took, and its forward and backward passes of single samples."""
    return [{**labels, "client": client, **cost} for client, cost in costs.items()]


def pooled(selections: Sequence[Mapping[str, Any]]) -> Row:
    """Pool the selections of all clients: summed counts and the metrics that follow from them.

    AUROC: the probability that of a good and a low-quality sample of the same client the good one has the higher score.
    Scores of different clients are not compared; each client is weighted by its number of pairs.
    """
    if not all("good" in s for s in selections):
        return {}
    kept, dropped, good, right = (sum(s[key] for s in selections) for key in ("kept", "dropped", "good", "kept_good"))
    kinds = sorted({kind for s in selections for kind in s["low_by_kind"]})
    return {
        "kept": kept,
        "dropped": dropped,
        "good": good,
        "kept_good": right,
        "precision": right / kept if kept else 0.0,
        "recall": right / good if good else 0.0,
        "f1": 2 * right / (kept + good) if kept + good else 0.0,
        "accuracy": (dropped - (good - right) + right) / (kept + dropped),
        "auroc": _pair_mean((s["auroc"], s["good"] * sum(s["low_by_kind"].values())) for s in selections),
        "auroc_by_kind": {
            kind: _pair_mean(
                (s["auroc_by_kind"][kind], s["good"] * s["low_by_kind"][kind])
                for s in selections
                if kind in s["low_by_kind"]
            )
            for kind in kinds
        },
    }


def _pair_mean(figures: Iterable[tuple[float | None, int]]) -> float | None:
    """The mean of the known values, weighted by their numbers of pairs."""
    known = [(value, pairs) for value, pairs in figures if value is not None]
    pairs = sum(count for _, count in known)
    return sum(value * count for value, count in known) / pairs if pairs else None


def _gain(nll: Mapping[str, float], arm: str, *, over: str) -> float | None:
    return nll[over] - nll[arm] if over in nll and arm in nll else None


def _share(gain: float | None, oracle: float | None) -> float | None:
    return None if gain is None or oracle is None or oracle < LEAST_GAIN else gain / oracle


def _flat(selection: Mapping[str, Any]) -> Row:
    kinds = {f"auroc {kind}": value for kind, value in selection.get("auroc_by_kind", {}).items()}
    return {key: value for key, value in selection.items() if not key.endswith("_by_kind")} | kinds
