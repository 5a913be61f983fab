"""Metrics of a selection with known labels; the positive class is high quality."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from clues.errors import DataError
from clues.selection.judged import read_judged


def read_labels(path: str, ids: Sequence[str]) -> dict[str, str]:
    """Corruption type by id, empty for good samples.

    Raises:
        DataError: labels are missing, unusable or contradictory; lists all such lines.
    """
    labels: dict[str, str] = {}

    def take(identity: str | None, record: Mapping[str, Any]) -> str:
        if record.get("quality") not in ("good", "low") or identity is None:
            return "needs the fields 'id' and 'quality' (good or low); fix the line"
        if labels.setdefault(identity, _kind(record)) != _kind(record):
            return f"gives id '{identity}' another label than an earlier line; keep one of them"
        return ""

    read_judged(path, take)
    missing = [identity for identity in ids if identity not in labels]
    if missing:
        raise DataError(f"{path}: has no label for {len(missing)} samples, first id '{missing[0]}'; add them.")
    return labels


def _kind(record: Mapping[str, Any]) -> str:
    return "" if record["quality"] == "good" else str(record.get("kind") or "low")


def selection_metrics(scores: Sequence[float], kept: Sequence[bool], kinds: Sequence[str]) -> dict[str, Any]:
    """Precision, recall, F1, accuracy, AUROC, AUROC against each corruption type, and counts.

    AUROC is None if one class is absent. The counts are `good`, `kept_good` and `low_by_kind`.

    Args:
        kinds: per sample, its corruption type, empty for good ones.
    """
    # With its libraries it takes a second or two, which a process that is given no labels need not spend.
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    good = [not kind for kind in kinds]
    precision, recall, f1, _ = precision_recall_fscore_support(good, kept, average="binary", zero_division=0)
    low = Counter(sorted(kind for kind in kinds if kind))
    by_kind = {}
    for kind in low:
        rows = [row for row, label in enumerate(kinds) if label in ("", kind)]
        by_kind[kind] = _auroc([good[row] for row in rows], [scores[row] for row in rows])
    return {
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "accuracy": float(accuracy_score(good, kept)),
        "auroc": _auroc(good, scores),
        "auroc_by_kind": by_kind,
        "low_by_kind": dict(low),
        "good": sum(good),
        "kept_good": sum(is_good and is_kept for is_good, is_kept in zip(good, kept, strict=True)),
    }


def _auroc(good: Sequence[bool], scores: Sequence[float]) -> float | None:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(good, scores)) if len(set(good)) == 2 else None
