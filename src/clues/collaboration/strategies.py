"""Flower's strategies as aggregators: what the server makes of the adapters of one round.

Flower computes; no message, node or connection is involved. Answers are added up in the order given, so that the same
order gives the same bytes. FedAvg: arXiv 1602.05629; FedProx, whose proximal term is the client's part: 1812.06127;
FedAvgM: 1909.06335; FedAdam, FedYogi: 2003.00295; median and trimmed mean of each number: 1803.01498; Krum: 1703.02757.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp import strategy as flower

from clues.errors import ConfigError, ProtocolError
from clues.merging.updates import concatenated, lora_pairs, lora_state, of_rank
from clues.models.adapters import AdapterState

Answers = Sequence[tuple[AdapterState, float]]  # adapter, weight
_WEIGHT = "num-examples"
_MEMORIES = ("m_t", "v_t", "momentum_vector")  # what Flower's strategies keep from round to round


@dataclass(frozen=True)
class _Strategy:
    """`options`: by our name, (Flower's name, default). `robust`: weights do not count, and liars are left out."""

    kind: Any
    options: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    robust: bool = False


_ADAPTIVE = {
    "server_learning_rate": ("eta", 0.01),
    "beta_1": ("beta_1", 0.9),
    "beta_2": ("beta_2", 0.99),
    "tau": ("tau", 1e-3),
}
_MOMENTUM = {
    "server_learning_rate": ("server_learning_rate", 1.0),
    "server_momentum": ("server_momentum", 0.9),
}
STRATEGIES: dict[str, _Strategy] = {
    "fedavg": _Strategy(flower.FedAvg),
    "fedprox": _Strategy(flower.FedAvg),
    "fedavgm": _Strategy(flower.FedAvgM, _MOMENTUM),
    "fedadam": _Strategy(flower.FedAdam, _ADAPTIVE),
    "fedyogi": _Strategy(flower.FedYogi, _ADAPTIVE),
    "median": _Strategy(flower.FedMedian, robust=True),
    "trimmed-mean": _Strategy(flower.FedTrimmedAvg, {"trim": ("beta", 0.2)}, robust=True),
    "krum": _Strategy(flower.Krum, {"malicious": ("num_malicious_nodes", 1)}, robust=True),
}
Aggregation = Literal["separate", "exact"]


class Aggregator:
    """One strategy over the rounds of one arm. `aggregator` makes it.

    `exact` aggregation averages the products B·A and factors the mean to the rank of the adapters, where `separate`
    averages A and B, whose product has cross terms.
    """

    def __init__(self, name: str, options: Mapping[str, float], aggregation: Aggregation) -> None:
        entry = STRATEGIES[name]
        self._name, self._robust, self._exact = name, entry.robust, aggregation == "exact"
        self._options = options
        self._strategy = entry.kind(**{flowers: options[ours] for ours, (flowers, _) in entry.options.items()})

    def step(self, number: int, current: AdapterState, answers: Answers) -> AdapterState:
        """The next global adapter, in float32.

        Args:
            number: of the round, from 1. current: the adapter that the clients started from. answers: those of weight
                0 are left out.

        Raises:
            ProtocolError: no answer has a weight, too few are left for the strategy, or they differ in names or shapes.
        """
        if not any(weight for _, weight in answers):
            raise ProtocolError("training: no client kept any sample; loosen selection.threshold.")
        shapes = {name: t.shape for name, t in current.items()}
        if any({name: t.shape for name, t in state.items()} != shapes for state, _ in answers):
            raise ProtocolError(f"round {number}: a client's adapter has other tensors than the one it was sent.")
        # Some strategies match tensors by their place.
        counted = [({name: state[name] for name in current}, weight) for state, weight in answers if weight]
        if self._robust:
            _check_clients(self._name, self._options, clients=len(counted), error=ProtocolError)
        if self._exact:
            mean = _exact_mean(counted)
            return {name: mean[name] for name in current}
        # Krum compares adapters by distances, which rounding would drown if what all have in common were left in.
        origin = {name: t.double() for name, t in current.items()} if self._name == "krum" else {}
        replies = [_reply(_less(state, origin), weight) for state, weight in counted]
        record = ArrayRecord({name: t.float() for name, t in current.items()})
        # FedAvgM keeps a record, the adaptive strategies arrays by name.
        momentum = self._name == "fedavgm"
        self._strategy.current_arrays = record if momentum else {name: array.numpy() for name, array in record.items()}
        with _quiet():
            arrays, _ = self._strategy.aggregate_train(number, replies)
        result = {name: torch.from_numpy(np.array(array.numpy())) for name, array in arrays.items()}
        return {name: (result[name] + origin.get(name, 0)).float() for name in current}

    def state(self, current: AdapterState) -> dict[str, torch.Tensor]:
        """What the strategy remembers, as tensors to save; empty for most. `current`: any adapter of the run."""
        saved: dict[str, torch.Tensor] = {}
        for memory in _MEMORIES:
            values = getattr(self._strategy, memory, None)
            if values is not None:
                by_name = values if isinstance(values, dict) else dict(zip(current, values, strict=True))
                saved |= {f"{memory}/{name}": torch.from_numpy(np.array(v)) for name, v in by_name.items()}
        return saved

    def restore(self, saved: Mapping[str, torch.Tensor], current: AdapterState) -> None:
        """Continue from what `state` returned."""
        for memory in _MEMORIES:
            values = {name: saved[f"{memory}/{name}"].numpy() for name in current if f"{memory}/{name}" in saved}
            if values:
                setattr(self._strategy, memory, [*values.values()] if memory == "momentum_vector" else values)


def aggregator(
    name: str, options: Mapping[str, float] | None = None, *, clients: int, aggregation: Aggregation = "separate"
) -> Aggregator:
    """An aggregator for this many clients.

    Args:
        options: of the strategy: `server_learning_rate` and `server_momentum` (fedavgm), `server_learning_rate`,
            `beta_1`, `beta_2` and `tau` (fedadam, fedyogi), `trim`, the share left out at either end (trimmed-mean),
            `malicious`, the number of liars to withstand (krum).

    Raises:
        ConfigError: unknown names, values that are out of range, or too few clients; all at once.
    """
    if name not in STRATEGIES:
        raise ConfigError(f"collaboration.strategy: '{name}' is none of {', '.join(STRATEGIES)}; use one of these.")
    options, known = options or {}, STRATEGIES[name].options
    wrong = [
        f"collaboration.{key}: has no effect with strategy {name}; leave it out." for key in options if key not in known
    ]
    if aggregation == "exact" and name not in ("fedavg", "fedprox"):
        wrong.append(
            f"collaboration.aggregation: exact is a mean, and {name} is none; use fedavg, fedprox or separate."
        )
    wrong += [f"collaboration.{key}: {value} is below 0; raise it." for key, value in options.items() if not value >= 0]
    if wrong:
        raise ConfigError("\n".join(wrong))
    complete = {key: options.get(key, default) for key, (_, default) in known.items()}
    _check_clients(name, complete, clients=clients, error=ConfigError)
    return Aggregator(name, complete, aggregation)


def _check_clients(name: str, options: Mapping[str, float], *, clients: int, error: type[Exception]) -> None:
    """Raises `error` if a robust strategy could not leave anyone out of so few clients."""
    if name == "krum" and clients < 2 * options["malicious"] + 3:
        raise error(
            f"collaboration.strategy: krum withstands {options['malicious']:g} liars among at least "
            f"{2 * options['malicious'] + 3:g} clients, not among {clients}; lower malicious, or use median."
        )
    if name == "trimmed-mean" and not 1 <= int(options["trim"] * clients) < clients / 2:
        raise error(
            f"collaboration.trim: {options['trim']:g} of {clients} clients leaves out none, or all; "
            "use a share that is at least 1 client and below 0.5, or strategy median."
        )
    if name == "median" and clients < 3:
        raise error(f"collaboration.strategy: the median of {clients} clients is their mean; use fedavg.")


def _reply(state: AdapterState, weight: float) -> Any:
    """As much of a reply as strategies read."""
    content = RecordDict({"arrays": ArrayRecord(dict(state)), "metrics": MetricRecord({_WEIGHT: weight})})
    return SimpleNamespace(content=content, has_error=lambda: False)


def _less(state: AdapterState, origin: AdapterState) -> AdapterState:
    return {name: t.double() - origin[name] if origin else t.float() for name, t in state.items()}


def _exact_mean(answers: Answers) -> AdapterState:
    total = sum(weight for _, weight in answers)
    pairs = [lora_pairs(state) for state, _ in answers]
    mean = concatenated(pairs, [weight / total for _, weight in answers])
    return lora_state(of_rank(mean, {name: update.rank for name, update in pairs[0].items()}))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Flower's lines about every round, which name no client."""
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
