"""What a server does about clients that lie: thresholds, weights and checks that a few of them cannot move far.

Checks report; what follows from a report is the run's decision. They need the single clients' values: where a masked
sum is all that the server sees, only clients can check. None can tell one of two clients from the other.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from clues.errors import ConfigError, SelectionError
from clues.models.adapters import AdapterState
from clues.selection.threshold import AnchorScores, Threshold, fit_threshold
from clues.settings import SelectionSettings

Statistic = Literal["mean", "median", "trimmed-mean"]
SUSPICIOUS = 3.5  # the absolute robust z that Iglewicz and Hoaglin (1993) call an outlier
_FITTED = ("anchor-mean", "anchor-quantile", "anchor-deviation", "anchor-normalised")  # on the values of scores
_CONSISTENT = 1.4826  # makes the median absolute deviation of normal numbers their standard deviation
_EQUAL = 1e-3  # of the spread: clients that score with one adapter differ by rounding, which is no deviation
_COPY = 0.999  # the cosine of two updates from which one is a copy of the other


def robust_threshold(
    anchors: AnchorScores,
    settings: SelectionSettings,
    *,
    statistic: Statistic,
    trim: float = 0.2,
    good_share: Mapping[str, float] | None = None,
) -> Threshold:
    """The rule fitted on each client's anchors alone, with the median or the trimmed mean of the clients' values.

    Fewer than half of the clients (of a trimmed mean: at most the share `trim`) cannot move it beyond the others'
    values. Rules that are not fitted on the anchors' scores are left as they are.

    Raises:
        SelectionError: as `fit_threshold`, or nothing would be trimmed.
    """
    pooled = fit_threshold(anchors, settings, good_share)
    if statistic == "mean" or pooled.rule not in _FITTED:
        return pooled
    fits = [fit_threshold({client: scores}, settings) for client, scores in anchors.items()]
    values = sorted(fit.value for fit in fits if fit.value is not None)
    if statistic == "median":
        value = statistics.median(values)
    else:
        cut = int(trim * len(values))
        if not 0 < cut < len(values) / 2:
            raise SelectionError(
                f"threshold: a trimmed mean that leaves out {trim:g} of {len(values)} clients leaves out none, or all; "
                "use the median."
            )
        value = statistics.fmean(values[cut : len(values) - cut])
    return Threshold(pooled.rule, value, scale={client: s for fit in fits for client, s in fit.scale.items()})


@dataclass(frozen=True)
class AnchorReport:
    """One client's anchor scores against those of all others.

    `z`: how far they lie above the others' median, in robust standard deviations of the others. `spread`: their
    interquartile range over the median of the others'. `correlation`: with the others' median scores; NaN if constant.
    """

    z: float
    spread: float
    correlation: float

    @property
    def suspicious(self) -> bool:
        """Whether the scores lie unusually high or low, or do not say which anchors are better."""
        return abs(self.z) > SUSPICIOUS or not self.correlation > 0


def check_anchors(anchors: Mapping[str, Tensor]) -> dict[str, AnchorReport]:
    """Compare every client's anchor scores with the others'; empty for fewer than three clients.

    Scores of honest clients differ too, with their data and their trajectories. With three or four clients, two that
    happen to agree make the third look suspicious.
    """
    scores = {client: values.double() for client, values in anchors.items()}
    if len(scores) < 3:
        return {}
    return {
        client: _against(values, torch.stack([other for name, other in scores.items() if name != client]))
        for client, values in scores.items()
    }


def _against(values: Tensor, others: Tensor) -> AnchorReport:
    """`values`: anchors; `others`: clients × anchors."""
    centre, count = others.quantile(0.5, dim=0), len(others)
    # The centre is fitted to the others, and has an error itself.
    deviation = float((others - centre).abs().median()) * _CONSISTENT * math.sqrt((count + 1) / (count - 1))
    shift = float((values - centre).median())
    usual = float((others.quantile(0.75, dim=1) - others.quantile(0.25, dim=1)).median())
    usual = max(usual, torch.finfo(torch.float64).tiny)
    width = float(values.quantile(0.75) - values.quantile(0.25)) / usual
    correlation = float(torch.corrcoef(torch.stack([values, centre]))[0, 1])
    return AnchorReport(z=shift / max(deviation, _EQUAL * usual), spread=width, correlation=correlation)


@dataclass(frozen=True)
class UpdateReport:
    """One client's update (adapter − start) against those of all others.

    `ratio`: its norm over the median of the others'. `cosine`: with the mean direction of the others. `nearest`: the
    client with the most similar update. `reasons`: what is suspicious, as sentences; empty if nothing is.
    """

    norm: float
    ratio: float
    cosine: float
    nearest: str
    reasons: list[str]


def check_updates(
    updates: Mapping[str, AdapterState], *, factor: float = 3.0, cosine: float = 0.0
) -> dict[str, UpdateReport]:
    """Compare the clients' updates; those that are not finite are compared with nothing.

    Args:
        factor: the largest unsuspicious ratio of norms, and the inverse of the smallest.
        cosine: the smallest unsuspicious cosine.
    """
    nan = float("nan")
    finite = {client: u for client, u in updates.items() if all(torch.isfinite(t).all() for t in u.values())}
    broken = UpdateReport(nan, nan, nan, "", ["holds values that are not numbers"])
    reports = {client: broken for client in updates if client not in finite}
    clients, products = list(finite), _products([*finite.values()])
    norms = products.diagonal().sqrt()
    cosines = products / (norms[:, None] * norms).clamp(min=torch.finfo(torch.float64).tiny)
    for place, client in enumerate(clients):
        others = torch.arange(len(clients)) != place
        if not others.any():
            reports[client] = UpdateReport(float(norms[place]), nan, nan, "", [])
            continue
        length = cosines[others][:, others].sum().clamp(min=0).sqrt()
        direction = float(cosines[place, others].sum() / length) if length else 0.0
        ratio = float(norms[place] / norms[others].quantile(0.5))
        similar = cosines[place].masked_fill(~others, -torch.inf)
        nearest, likeness = clients[int(similar.argmax())], float(similar.max())
        reasons = [
            *([f"its norm is {ratio:.3g} times the others' median"] if not 1 / factor <= ratio <= factor else []),
            *([f"its cosine with the others' mean is {direction:.2f}"] if not direction >= cosine else []),
            *([f"it is nearly that of {nearest}"] if likeness > _COPY else []),
        ]
        reports[client] = UpdateReport(float(norms[place]), ratio, direction, nearest, reasons)
    return {client: reports[client] for client in updates}


def _products(updates: Sequence[AdapterState]) -> Tensor:
    """All inner products, clients × clients, one tensor of the adapters at a time."""
    total = torch.zeros(len(updates), len(updates), dtype=torch.float64)
    for name in updates[0] if updates else ():
        rows = torch.stack([update[name].double().flatten() for update in updates])
        total += rows @ rows.T
    return total


def capped_weights(weights: Mapping[str, float], *, factor: float = 2.0) -> dict[str, float]:
    """Weights of at most `factor` times the median of the others' that are above 0: nobody can check a count.

    Raises:
        ConfigError: the factor is below 1, so that equal weights would change.
    """
    if factor < 1:
        raise ConfigError(f"defences: a cap of {factor:g} times the median changes equal weights; use at least 1.")
    capped = {}
    for client, weight in weights.items():
        others = [other for name, other in weights.items() if name != client and other > 0]
        capped[client] = min(weight, factor * statistics.median(others)) if others else weight
    return capped


def contributions(clients: Sequence[str], loss: Callable[[Sequence[str]], float]) -> dict[str, float]:
    """How much each client lowers a loss on held-out public samples: loss without it − loss with all.

    This is leave-one-out; two clients that bring the same each contribute nothing.

    Args:
        loss: of the model merged from some clients, at least one; called once for each client and once for all.
    """
    if len(clients) < 2:
        return {}
    together = loss(clients)
    return {client: loss([other for other in clients if other != client]) - together for client in clients}
