"""What a silo demands before it sends anything noised, and what its releases so far have cost.

Every release is a Gaussian mechanism. With noise multipliers z_i, their composition, also an adaptive one, is exactly
one mechanism with 1/z² = Σ 1/z_i² (Gaussian differential privacy, Dong et al., arXiv 1905.02383), whose ε at δ is
known in closed form (Balle and Wang, arXiv 1805.06530) and computed by dp-accounting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from clues.errors import ConfigError, ProtocolError
from clues.io.files import read_json, write_json
from clues.io.store import Codec, Store
from clues.settings import PrivacyLimits

T = TypeVar("T")


class Budget:
    """What a silo's noised releases have cost, over all runs on its data.

    Args:
        path: a JSON file that lists all releases; it must outlive a run. Entries are only added.
    """

    def __init__(self, path: Path, limits: PrivacyLimits) -> None:
        self._path, self.limits = path, limits

    @property
    def multipliers(self) -> list[float]:
        """The noise multipliers of all releases so far."""
        return [entry["noise_multiplier"] for entry in self._releases()]

    @property
    def epsilon(self) -> float:
        """The ε of all releases so far, at the limits' δ."""
        return epsilon(self.multipliers, self.limits.delta)

    def check(self, multipliers: Sequence[float]) -> None:
        """Raises ProtocolError if further releases would exceed the largest ε."""
        would = epsilon([*self.multipliers, *multipliers], self.limits.delta)
        if would > self.limits.max_epsilon:
            raise ProtocolError(
                f"privacy: {len(multipliers)} more releases would raise ε from {self.epsilon:.3g} to {would:.3g}, "
                f"above max_epsilon {self.limits.max_epsilon:g}; use fewer rounds or a larger noise_multiplier."
            )

    def spend(self, what: str, multiplier: float) -> None:
        """Record a release before it is made: a crash in between costs budget, never privacy.

        Raises:
            ProtocolError: it would exceed the largest ε.
        """
        self.check([multiplier])
        time = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"time": time, "what": what, "noise_multiplier": multiplier}
        write_json(self._path, {"releases": [*self._releases(), entry]})

    def _releases(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        releases: list[dict[str, Any]] = read_json(self._path)["releases"]
        return releases


def epsilon(multipliers: Sequence[float], delta: float) -> float:
    """The ε at δ of Gaussian releases with these noise multipliers.

    Raises:
        ConfigError: dp-accounting is not installed.
    """
    if not multipliers:
        return 0.0
    try:
        from dp_accounting import get_epsilon_gaussian
    except ImportError:
        raise ConfigError("privacy: the accountant is missing; pip install dp-accounting.") from None
    return float(get_epsilon_gaussian(1 / math.sqrt(sum(z**-2 for z in multipliers)), delta))


def release_once(
    budget: Budget, store: Store, message: Any, *, multiplier: float, release: tuple[Callable[[], T], Codec[T]]
) -> T:
    """What a message is answered with, noised and paid for once: asked again, the stored answer is returned.

    Args:
        store: of the client; another version of the package makes, and pays for, another release.
        message: what identifies it: job, kind, and a digest of its content.
        release: noises what was computed before, and how the result is stored.
    """
    noised, codec = release

    def paid() -> T:
        budget.spend(str(message), multiplier)
        return noised()

    return store.get("released", message, compute=paid, codec=codec)
