"""The global threshold: one rule for all clients, fitted on anchor scores alone (arXiv 2507.03004, §3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from clues.errors import SelectionError
from clues.settings import SelectionSettings

AnchorScores = Mapping[str, Tensor]  # by client, anchors


@dataclass(frozen=True)
class Threshold:
    """A fitted rule: keep scores of at least `value`, after division by the client's `scale`; or the best `share`."""

    rule: str
    value: float | None = None
    scale: dict[str, float] = field(default_factory=dict)
    share: dict[str, float] = field(default_factory=dict)

    def keep(self, scores: Tensor, client: str) -> Tensor:
        """samples → samples, bool.

        Raises:
            SelectionError: a score is not a number.
        """
        if not torch.isfinite(scores).all():
            raise SelectionError(f"client {client}: some scores are not numbers; score again in float32.")
        limit = self.limit(client)
        if limit is not None:
            return scores >= limit
        kept = torch.zeros(len(scores), dtype=torch.bool)
        best = scores.argsort(descending=True, stable=True)
        kept[best[: round(self.share[client] * len(scores))]] = True
        return kept

    def limit(self, client: str) -> float | None:
        """The least score that this client keeps; None where the best share is kept."""
        return None if self.value is None else self.value * self.scale.get(client, 1.0)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def fit_threshold(
    anchors: AnchorScores, settings: SelectionSettings, good_share: Mapping[str, float] | None = None
) -> Threshold:
    """Fit the rule that `settings` names.

    Args:
        good_share: by client, the true share of good samples; for `oracle-ratio` only.

    Raises:
        SelectionError: there are no anchor scores, or they are not numbers, or labels are missing.
    """
    pooled = torch.cat([scores.double() for scores in anchors.values()]) if anchors else torch.empty(0)
    if not len(pooled):
        raise SelectionError("threshold: there are no anchor scores; give --anchors and score again.")
    wrong = [client for client, scores in anchors.items() if not torch.isfinite(scores).all()]
    if wrong:
        raise SelectionError(f"threshold: anchor scores of {', '.join(wrong)} are not numbers; score again in float32.")
    return _RULES[settings.threshold or "anchor-quantile"](anchors, pooled, settings, good_share)


_Rule = Callable[[AnchorScores, Tensor, SelectionSettings, Mapping[str, float] | None], Threshold]


def _mean(anchors: AnchorScores, pooled: Tensor, settings: SelectionSettings, _: Any) -> Threshold:
    """τ = mean over clients and anchors (the paper)."""
    return Threshold("anchor-mean", float(pooled.mean()))


def _quantile(anchors: AnchorScores, pooled: Tensor, settings: SelectionSettings, _: Any) -> Threshold:
    """τ = the q-quantile over clients and anchors: about 1 − q of samples like the anchors are kept."""
    return Threshold("anchor-quantile", float(pooled.quantile(settings.quantile)))


def _deviation(anchors: AnchorScores, pooled: Tensor, settings: SelectionSettings, _: Any) -> Threshold:
    """τ = mean minus k standard deviations over clients and anchors."""
    return Threshold("anchor-deviation", float(pooled.mean() - settings.deviations * pooled.std(correction=0)))


def _normalised(anchors: AnchorScores, pooled: Tensor, settings: SelectionSettings, _: Any) -> Threshold:
    """Scores divided by the client's own anchor mean first; τ is the mean of the anchors so divided."""
    scale = {client: abs(float(scores.double().mean())) for client, scores in anchors.items()}
    if not all(scale.values()):
        raise SelectionError("threshold: a client's anchor scores average to 0; use anchor-mean or anchor-quantile.")
    divided = torch.cat([scores.double() / scale[client] for client, scores in anchors.items()])
    return Threshold("anchor-normalised", float(divided.mean()), scale=scale)


def _posterior(anchors: AnchorScores, pooled: Tensor, settings: SelectionSettings, _: Any) -> Threshold:
    """Rather good than not: for scores that are log-odds of being good (`auto`)."""
    return Threshold("posterior", 0.0)


def _ratio(anchors: AnchorScores, pooled: Tensor, settings: SelectionSettings, _: Any) -> Threshold:
    """The best share of every client."""
    return Threshold("ratio", share={client: settings.ratio for client in anchors})


def _score(anchors: AnchorScores, pooled: Tensor, settings: SelectionSettings, _: Any) -> Threshold:
    """A number fixed beforehand."""
    return Threshold("score", settings.score)


def _oracle_ratio(
    anchors: AnchorScores, pooled: Tensor, settings: SelectionSettings, good_share: Mapping[str, float] | None
) -> Threshold:
    """The best share of every client, the share being its true one: a reference for benchmarks."""
    missing = [client for client in anchors if not good_share or client not in good_share]
    if good_share is None or missing:
        raise SelectionError(f"threshold: oracle-ratio needs labels of {', '.join(missing)}; give them or use another.")
    return Threshold("oracle-ratio", share=dict(good_share))


_RULES: dict[str, _Rule] = {
    "anchor-mean": _mean,
    "anchor-quantile": _quantile,
    "anchor-deviation": _deviation,
    "anchor-normalised": _normalised,
    "posterior": _posterior,
    "ratio": _ratio,
    "score": _score,
    "oracle-ratio": _oracle_ratio,
}
