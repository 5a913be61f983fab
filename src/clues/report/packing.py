"""Rows inside a page: compressed JSON in base64, which no text of a sample can leave."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from clues.report.owner import OwnerRow

AT_ONCE = 1000  # rows whose texts are in one part


def packed(value: Any) -> str:
    """JSON, gzip, base64; the same for the same value. A lone surrogate becomes a question mark."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode("ascii")


def columns(rows: Sequence[OwnerRow], nearest: Sequence[tuple[int, float]]) -> dict[str, Any]:
    """All but the texts, by column; what many rows share is in a list, and a row has its number."""
    causes, domains = Numbered(), Numbered()
    places = {row.id: place for place, row in enumerate(rows)}
    names = list(rows[0].features) if rows else []
    return {
        "id": [row.id for row in rows],
        "score": [_short(row.score) for row in rows],
        "kept": [int(row.decision == "kept") for row in rows],
        "by": [row.decided_by for row in rows],
        "cause": [causes[row.causes] for row in rows],
        "domain": [domains[row.domain] for row in rows],
        "group": [places.get(row.group, -1) for row in rows],
        "length": [len(row.response) for row in rows],
        "nearest": [place for place, _ in nearest],
        "likeness": [round(value, 2) for _, value in nearest],
        "features": {name: [_short(row.features[name]) for row in rows] for name in names},
        "causes": list(causes),
        "domains": list(domains),
    }


def texts(rows: Sequence[OwnerRow]) -> list[str]:
    """Packed parts of `AT_ONCE` rows: prompt, response, reason, earlier turns."""
    content = [[row.prompt, row.response, row.reason, row.earlier] for row in rows]
    return [packed(content[start : start + AT_ONCE]) for start in range(0, len(content), AT_ONCE)]


class Numbered(dict[Any, int]):
    """Numbers values in the order in which they come."""

    def __missing__(self, value: Any) -> int:
        self[value] = len(self)
        return self[value]


def bands(features: Mapping[str, Sequence[float]], anchors: Mapping[str, Sequence[float]]) -> dict[str, list[float]]:
    """By feature: the range of all samples, and the 10, 50 and 90 % quantiles of the anchors."""
    import numpy as np

    result = {}
    for name, values in features.items():
        clean = np.array(anchors[name])
        inner = np.quantile(clean, [0.1, 0.5, 0.9]).tolist()
        low, high = np.quantile(np.array(values), [0.01, 0.99]).tolist()
        result[name] = [_short(v) for v in (min(low, clean.min()), max(high, clean.max()), *inner)]
    return result


def _short(value: float) -> float:
    return float(f"{value:.4g}")
