"""How quality is spread over clients in benchmarks: the share of low-quality samples each of them gets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def same_share(clients: int, share: float) -> list[float]:
    """One share for all."""
    return [share] * clients


def dirichlet_shares(clients: int, share: float, beta: float, seed: int) -> list[float]:
    """Shares from a symmetric Dirichlet(β) whose mean is `share`, each at most 1; a small β is very uneven.

    What a client's share exceeds 1 by is spread over the others, so that the mean holds.
    """
    shares = np.random.default_rng(seed).dirichlet([beta] * clients) * share * clients
    while shares.max() > 1 + 1e-12:
        excess = (shares - 1).clip(min=0).sum()
        shares = shares.clip(max=1)
        room = 1 - shares
        shares = shares + room * excess / room.sum()
    return [float(value) for value in shares]


def two_groups(clients: int, shares: Sequence[float] = (0.7, 0.9)) -> list[float]:
    """The first half of the clients gets one share, the rest the other."""
    return [shares[0] if index < clients // 2 else shares[1] for index in range(clients)]
