"""What the noise of differential privacy leaves of a model: its loss at a given ε, with four clients and with more.

    python benchmarks/noise.py runs/demo          # the folder of a run in one process, by merging

Every client of the run trains an adapter on its own samples from the run's start, as for the model *mixed*. The updates
are clipped to their median norm and noised by each multiplier, merged exactly with equal weights, and measured on the
run's tests. More clients are imitated by the same four updates with less noise: the noise of the mean of four times as
many has half the standard deviation. A client releases one adapter; δ is 1e-5.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from tables import table

from clues.collaboration.arms import start
from clues.collaboration.privacy.budget import epsilon
from clues.collaboration.privacy.noise import privatised
from clues.data.prompts import tokenize
from clues.data.samples import read_many, read_samples
from clues.evaluation.likelihood import evaluate
from clues.merging.merging import merge_adapters
from clues.models.adapters import AdapterState, attached
from clues.models.base import Base, load_base
from clues.settings import NoiseSettings, RunSettings, read_toml, validated
from clues.training.fit import Training, fit

DELTA = 1e-5
MULTIPLIERS = (0.003, 0.03, 0.1, 0.5, 1.0)
CLIENTS = (4, 400, 40_000)


def main(run: Path) -> None:
    settings = validated(RunSettings, read_toml(run / "config.toml"))
    base = load_base(settings.model)
    initial, tests = start(base, settings), read_many(settings.evaluation.tests, settings.data)
    tokens = tokenize(tests, base, settings.data)

    def loss(states: list[AdapterState]) -> str:
        adapters = [(state, settings.lora) for state in states]
        weights = [1.0] * len(adapters)
        merged, lora = merge_adapters(base, adapters, weights=weights, settings=settings.merging, seed=settings.seed)
        with attached(base, lora, merged, settings.seed) as model:
            found = evaluate(model, tokens, batch_tokens=settings.evaluation.batch_tokens, what="measuring")
        return f"{statistics.fmean(statistics.fmean(values['nll']) for values in found.values()):.3f}"

    trained = [of_client(base, settings, Path(client.data), initial) for client in settings.clients if client.data]
    norms = [sum(float((state[name] - initial[name]).square().sum()) for name in initial) ** 0.5 for state in trained]
    count = sum(tensor.numel() for tensor in initial.values())
    clip = statistics.median(norms)
    print(
        f"{len(trained)} clients, adapters of {count:,} numbers; norms of updates:", *(f"{norm:.2f}" for norm in norms)
    )
    print(f"NLL: base model {loss([initial])}, without noise {loss(trained)}\n")
    rows = []
    for multiplier in MULTIPLIERS:
        row = [f"{multiplier:g}", f"{epsilon([multiplier], DELTA):.3g}", f"{2 * multiplier * count**0.5:.3g}"]
        for clients in CLIENTS:
            fewer = multiplier * (len(trained) / clients) ** 0.5
            noise = NoiseSettings(clipping_norm=clip, noise_multiplier=fewer)
            row.append(loss([privatised(state, initial, noise).state for state in trained]))
        rows.append(row)
    head = ["multiplier", "ε of a client", "norm of its noise, in clipping norms"]
    table([*head, *(f"NLL, {clients:,} clients" for clients in CLIENTS)], rows)


def of_client(base: Base, settings: RunSettings, file: Path, initial: AdapterState) -> AdapterState:
    tokens = tokenize(read_samples(file), base, settings.data)
    training = Training(
        lora=settings.lora,
        settings=settings.training,
        seed=settings.seed,
        initial=initial,
        what=f"training {file.stem}",
    )
    return fit(base, tokens, training=training)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
