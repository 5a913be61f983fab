"""Aggregation of a round's adapters by Flower's strategies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from types import SimpleNamespace

from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg

from clues.models.adapters import AdapterState
from clues.settings import CollaborationSettings

# (number of the round, global adapter, adapters with their numbers of samples) → the new global adapter
Step = Callable[[int, AdapterState, Sequence[tuple[AdapterState, float]]], AdapterState]


def aggregator(settings: CollaborationSettings) -> Step:
    logging.getLogger("flwr").setLevel(logging.ERROR)
    strategy = FedAvg(fraction_evaluate=0.0)

    def step(number: int, current: AdapterState, answers: Sequence[tuple[AdapterState, float]]) -> AdapterState:
        replies = [
            SimpleNamespace(
                has_error=lambda: False,
                has_content=lambda: True,
                content=RecordDict(
                    {"arrays": ArrayRecord(dict(state)), "metrics": MetricRecord({"num-examples": count})}
                ),
            )
            for state, count in answers
        ]
        arrays, _ = strategy.aggregate_train(number, replies)
        assert arrays is not None
        return {name: tensor.float() for name, tensor in arrays.to_torch_state_dict().items()}

    return step
