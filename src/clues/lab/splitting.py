"""How quality is spread over clients in benchmarks: the share of low-quality samples each of them gets."""

from __future__ import annotations

import numpy as np


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
