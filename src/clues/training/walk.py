"""Which samples a client trains on in each federated round: it walks on from where the last round ended."""

from __future__ import annotations

import torch

from clues.settings import TrainingSettings


def round_rows(samples: int, settings: TrainingSettings, seed: int, number: int, rounds: int) -> list[int]:
    """Rows of the samples of one round, in order of training.

    The client walks through one seeded permutation of its samples, again and again; the steps or epochs of `settings`
    are spread evenly over the rounds. Rounds together so visit every sample equally often, up to one.

    Args:
        number: of the round, from 1 to `rounds`.
    """
    start, stop = (_walked(samples, settings, done, rounds) for done in (number - 1, number))
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed)).tolist()
    return [order[place % samples] for place in range(start, stop)]


def _walked(samples: int, settings: TrainingSettings, done: int, rounds: int) -> int:
    """How many samples were trained on when `done` rounds have ended."""
    if settings.steps:
        return settings.steps * done // rounds * settings.batch_size * settings.gradient_accumulation
    return round(settings.epochs * samples * done / rounds)
