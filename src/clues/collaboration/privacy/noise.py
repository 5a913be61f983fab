"""Differential privacy of what one client sends: clipping and Gaussian noise (DP-FedAvg, arXiv 1710.06963).

Noise is drawn from the operating system's entropy. The generators of torch and NumPy follow the run's seed, which the
server knows, so that it could subtract noise of theirs.

The guarantee is local: whatever of a client's data changes, a clipped update moves by at most twice the clipping norm,
and an anchor score by at most its range. A noise multiplier is the noise's standard deviation over that sensitivity.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clues.collaboration.privacy.streams import fresh_stream
from clues.errors import ProtocolError
from clues.models.adapters import AdapterState
from clues.settings import AnchorNoise, NoiseSettings

_Values = NDArray[np.float64]
_FINENESS = 2.0**-20  # of the lattice, in standard deviations


@dataclass(frozen=True)
class Privatised:
    """A noised state. `norm`: the update's L2 norm before clipping, which is private to the client."""

    state: AdapterState
    norm: float


def privatised(state: Mapping[str, Tensor], initial: Mapping[str, Tensor], settings: NoiseSettings) -> Privatised:
    """`initial` plus the noised update: `state` − `initial`, clipped as a whole.

    Raises:
        ProtocolError: the two differ in names or shapes, or the update is not a number.
    """
    if {name: t.shape for name, t in state.items()} != {name: t.shape for name, t in initial.items()}:
        raise ProtocolError("the adapter and its start differ in names or shapes; start every client from one adapter.")

    def update(name: str) -> _Values:
        return _numpy(state[name]) - _numpy(initial[name])

    norm = math.sqrt(sum(float(np.square(update(name)).sum()) for name in state))
    if not math.isfinite(norm):
        raise ProtocolError("the update is not a number; lower training.learning_rate.")
    factor = min(1.0, settings.clipping_norm / norm) if norm else 1.0
    noised = {}
    for name in state:
        values = _numpy(initial[name]) + with_noise(update(name) * factor, settings.deviation)
        noised[name] = torch.from_numpy(values).float()
    return Privatised(noised, norm)


def released_anchors(scores: Tensor, settings: AnchorNoise) -> Tensor | None:
    """The anchor scores as they may leave the client: anchors; None if they may not.

    All anchors of a client together are one release: their sensitivity is √anchors times the range.

    Raises:
        ProtocolError: a score is not a number.
    """
    if settings.release == "none":
        return None
    if not torch.isfinite(scores).all():
        raise ProtocolError("some anchor scores are not numbers; score again in float32.")
    if settings.release == "exact":
        return scores
    width = settings.high - settings.low
    deviation = settings.noise_multiplier * width * math.sqrt(len(scores))
    return torch.from_numpy(with_noise(_numpy(scores.clamp(settings.low, settings.high)), deviation))


def with_noise(values: _Values, deviation: float) -> _Values:
    """`values`, which are of bounded norm, plus Gaussian noise.

    Both are multiples of a power of two: floating-point noise alone would betray values by its last bits (Mironov,
    CCS 2012). Values are rounded towards 0, which does not raise their norm.
    """
    step = 2.0 ** math.floor(math.log2(deviation)) * _FINENESS
    return (np.trunc(values / step) + np.rint(_normals(values.shape) * (deviation / step))) * step


def _normals(shape: tuple[int, ...]) -> _Values:
    """Standard normal numbers from fresh entropy, by the Box–Muller transform of 53 random bits each."""
    count = math.prod(shape)
    pairs = (count + 1) // 2
    words = np.frombuffer(fresh_stream()(16 * pairs), np.uint64).reshape(2, pairs) >> np.uint64(11)
    radius = np.sqrt(-2 * np.log((words[0] + 1.0) * 2.0**-53))  # of numbers in (0, 1]
    angle = words[1] * (2 * math.pi * 2.0**-53)
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count].reshape(shape)


def _numpy(tensor: Tensor) -> _Values:
    return tensor.detach().cpu().double().numpy()
