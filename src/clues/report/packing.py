"""Rows inside a page: compressed JSON in base64, which no text of a sample can leave."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from clues.report.neighbours import Neighbours
from clues.report.owner import OwnerRows

AT_ONCE = 1000  # rows whose texts are in one part
_COLUMNS = ("id", "score", "kept", "by", "cause", "domain", "group", "length", "nearest", "likeness")


def packed(value: Any) -> str:
    """JSON, gzip, base64; the same for the same value. A lone surrogate becomes a question mark."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)).decode("ascii")


def packed_rows(rows: OwnerRows, nearest: Neighbours) -> tuple[dict[str, Any], list[str]]:
    """What a page holds of its rows. The texts of no more than `AT_ONCE` rows are in memory.

    Returns:
        All but the texts, by column; what many rows share is in a list, and a row has its number. And packed parts of
        `AT_ONCE` rows: prompt, response, reason, earlier turns.
    """
    causes, domains, texts = Numbered(), Numbered(), list[str]()
    table: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    features: dict[str, list[float]] = {name: [] for name in rows.features}
    for start in range(0, len(rows), AT_ONCE):
        part = rows[start : start + AT_ONCE]
        for row, (clean, likeness) in zip(part, nearest((row.prompt, row.response) for row in part), strict=True):
            of_sample = (row.id, _short(row.score), int(row.decision == "kept"), row.decided_by, causes[row.causes])
            of_text = (domains[row.domain], row.group, len(row.response), clean, round(likeness, 2))
            for name, value in zip(_COLUMNS, of_sample + of_text, strict=True):
                table[name].append(value)
            for name, values in features.items():
                values.append(_short(row.features[name]))
        texts.append(packed([[row.prompt, row.response, row.reason, row.earlier] for row in part]))
    places = {identity: place for place, identity in enumerate(table["id"])}
    table["group"] = [places.get(identity, -1) for identity in table["group"]]
    return {**table, "features": features, "causes": list(causes), "domains": list(domains)}, texts


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
