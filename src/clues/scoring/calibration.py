"""How much each signal tells of quality, learnt from public samples: clean ones against damaged copies of them."""

from __future__ import annotations

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

FAR = 4.0  # standard deviations beyond which a signal tells no more


def standardised(signals: Tensor, domains: list[str], clean: Tensor) -> Tensor:
    """Signals in standard deviations of the clean public samples, centred at those of the sample's own domain.

    Args:
        signals: samples × signals. domains: of each sample, one that has clean samples. clean: samples, bool.
    """
    centred = signals.double().clone()
    names = np.array(domains)
    for domain in sorted(set(domains)):
        own = torch.from_numpy(names == domain)
        centred[own] -= centred[own & clean].mean(0)
    scale = centred[clean].std(0, correction=0).clamp(min=torch.finfo(torch.float32).tiny)
    return centred / scale


def log_odds(signals: Tensor, good: Tensor, damaged: Tensor, penalty: float = 1.0) -> Tensor:
    """Logistic regression of `good` against `damaged` rows, which count the same in sum; returns it for all rows.

    A signal enters as it is and once more below its usual range, so that one signal alone can condemn a sample;
    both are clipped and have weights of at least 0: none may count against its meaning.

    Args:
        signals: samples × signals, standardised, more is better. good, damaged: samples, bool.
    """
    features = np.concatenate([_clip(signals, -FAR, FAR / 2), _clip(signals + 1, 1 - FAR, 0)], axis=1)
    fitted = (good | damaged).numpy()
    target = np.where(good.numpy(), 1.0, -1.0)[fitted]
    share = np.where(target > 0, 0.5 / (target > 0).sum(), 0.5 / (target < 0).sum()) * len(target)
    rows, width = features[fitted], features.shape[1]

    def cost(weights: np.ndarray) -> tuple[float, np.ndarray]:
        margin = target * (rows @ weights[:width] + weights[width])
        slope = -share * target / (1 + np.exp(margin))
        loss = float((share * np.logaddexp(0, -margin)).sum() + penalty / 2 * (weights[:width] ** 2).sum())
        return loss, np.append(rows.T @ slope + penalty * weights[:width], slope.sum())

    bounds = [(0.0, None)] * width + [(None, None)]
    exact = {"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000}  # or rounding of the signals would show in the scores
    weights = minimize(cost, np.zeros(width + 1), jac=True, method="L-BFGS-B", bounds=bounds, options=exact).x
    return torch.from_numpy(features @ weights[:width] + weights[width])


def _clip(signals: Tensor, low: float, high: float) -> np.ndarray:
    return signals.double().clamp(low, high).numpy()
