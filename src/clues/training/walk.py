"""The samples a client trains on in each federated round, which continues where the last one ended."""

from __future__ import annotations

import torch

from clues.settings import TrainingSettings


def round_rows(samples: int, settings: TrainingSettings, *, seed: int, number: int, rounds: int) -> list[int]:
    """Rows of the samples of one round, in the order of training.

    The client cycles through one seeded permutation of its samples; the steps or epochs of `settings` are spread evenly
    over the rounds. Over all rounds, the numbers of visits to any two samples differ by at most one.

    Args:
        number: the number of the round, from 1 to `rounds`.
    """
    start, stop = (_samples_until(samples, settings, done=done, rounds=rounds) for done in (number - 1, number))
    order = torch.randperm(samples, generator=torch.Generator().manual_seed(seed)).tolist()
    return [order[place % samples] for place in range(start, stop)]


def _samples_until(samples: int, settings: TrainingSettings, *, done: int, rounds: int) -> int:
    """The number of samples trained on in the first `done` rounds."""
    if settings.steps:
        return settings.steps * done // rounds * settings.batch_size * settings.gradient_accumulation
    return round(settings.epochs * samples * done / rounds)
