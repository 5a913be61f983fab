"""The global threshold: one rule for all clients, fitted on anchor scores only (arXiv 2507.03004, §3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from clues.errors import SelectionError
from clues.settings import SelectionSettings

AnchorScores = Mapping[str, ArrayLike]  # by client: anchors; arrays, or tensors on the CPU


@dataclass(frozen=True)
class Threshold:
    """A fitted rule: keep scores of at least `value` times the client's `scale`, or the client's best `share`."""

    rule: str
    value: float | None = None
    scale: dict[str, float] = field(default_factory=dict)
    share: dict[str, float] = field(default_factory=dict)

    def keep(self, scores: np.ndarray, client: str) -> np.ndarray:
        """Whether to keep each sample: samples → samples, bool.

        Raises:
            SelectionError: a score is not a number.
        """
        if not np.isfinite(scores).all():
            raise SelectionError(f"client {client}: some scores are not numbers; score again in float32.")
        limit = self.limit(client)
        if limit is not None:
            reached: np.ndarray = scores >= limit
            return reached
        kept = np.zeros(len(scores), dtype=bool)
        best = np.argsort(-scores, kind="stable")
        kept[best[: round(self.share[client] * len(scores))]] = True
        return kept

    def limit(self, client: str) -> float | None:
        """The lowest score that this client keeps; None if it keeps its best share."""
        return None if self.value is None else self.value * self.scale.get(client, 1.0)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def fit_threshold(
    anchors: AnchorScores, settings: SelectionSettings, good_share: Mapping[str, float] | None = None
) -> Threshold:
    """Fit the rule in `settings`.

    Args:
        good_share: by client, the true share of good samples; for `oracle-ratio` only.

    Raises:
        SelectionError: anchor scores are missing or not numbers, or labels are missing.
    """
    known = {client: np.asarray(scores, dtype=np.float64) for client, scores in anchors.items()}
    pooled = np.concatenate([*known.values(), []])
    if not len(pooled):
        raise SelectionError("threshold: there are no anchor scores; give --anchors and score again.")
    wrong = [client for client, scores in known.items() if not np.isfinite(scores).all()]
    if wrong:
        raise SelectionError(f"threshold: anchor scores of {', '.join(wrong)} are not numbers; score again in float32.")
    fit = _Fit(known, pooled, settings, good_share or {})
    return _RULES[settings.threshold or "anchor-quantile"](fit)


@dataclass(frozen=True)
class _Fit:
    """What rules are fitted on. `pooled`: the anchor scores of all clients, clients · anchors."""

    anchors: Mapping[str, np.ndarray]
    pooled: np.ndarray
    settings: SelectionSettings
    good_share: Mapping[str, float]


def _mean(fit: _Fit) -> Threshold:
    """τ = mean over clients and anchors (the paper)."""
    return Threshold("anchor-mean", float(fit.pooled.mean()))


def _quantile(fit: _Fit) -> Threshold:
    """τ = the q-quantile over clients and anchors: keeps about 1 − q of samples like the anchors."""
    return Threshold("anchor-quantile", float(np.quantile(fit.pooled, fit.settings.quantile)))


def _deviation(fit: _Fit) -> Threshold:
    """τ = mean minus k standard deviations over clients and anchors."""
    return Threshold("anchor-deviation", float(fit.pooled.mean() - fit.settings.deviations * fit.pooled.std()))


def _normalised(fit: _Fit) -> Threshold:
    """Scores are divided by the absolute anchor mean of their client; τ is the mean of the anchors so divided."""
    scale = {client: abs(float(scores.mean())) for client, scores in fit.anchors.items()}
    if not all(scale.values()):
        raise SelectionError("threshold: a client's anchor scores average to 0; use anchor-mean or anchor-quantile.")
    divided = np.concatenate([scores / scale[client] for client, scores in fit.anchors.items()])
    return Threshold("anchor-normalised", float(divided.mean()), scale=scale)


def _posterior(fit: _Fit) -> Threshold:
    """τ = 0, for scores that are log-odds of being good (`auto`): keeps what is more likely good than not."""
    return Threshold("posterior", 0.0)


def _ratio(fit: _Fit) -> Threshold:
    """The best share of every client."""
    return Threshold("ratio", share={client: fit.settings.ratio for client in fit.anchors})


def _score(fit: _Fit) -> Threshold:
    """A fixed τ."""
    return Threshold("score", fit.settings.score)


def _oracle_ratio(fit: _Fit) -> Threshold:
    """The true share of good samples of every client: a reference for benchmarks."""
    missing = [client for client in fit.anchors if client not in fit.good_share]
    if missing:
        raise SelectionError(f"threshold: oracle-ratio needs labels of {', '.join(missing)}; give them or use another.")
    return Threshold("oracle-ratio", share=dict(fit.good_share))


_RULES: dict[str, Callable[[_Fit], Threshold]] = {
    "anchor-mean": _mean,
    "anchor-quantile": _quantile,
    "anchor-deviation": _deviation,
    "anchor-normalised": _normalised,
    "posterior": _posterior,
    "ratio": _ratio,
    "score": _score,
    "oracle-ratio": _oracle_ratio,
}
