"""Federated rounds with Flower's strategies."""

from __future__ import annotations

import logging
from typing import Any

from flwr.app import ArrayRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, FedProx

from clues.collaboration.messages import in_order, numbers_of, strategy_facts
from clues.errors import ProtocolError
from clues.io.progress import say
from clues.models.adapters import AdapterState
from clues.selection.threshold import Threshold
from clues.settings import CollaborationSettings, RunSettings


def federate(
    grid: Grid, settings: RunSettings, *, arm: str, threshold: Threshold | None, start: AdapterState
) -> list[AdapterState]:
    """Rounds of local training and aggregation; the epochs or steps of `training` are spread over the rounds.

    A round continues where the last one ended in a client's samples (`clues.training.walk`), with the learning rate's
    schedule from its start.

    Returns:
        The global adapter after each round.

    Raises:
        ProtocolError: a client failed in a round; the other clients' adapters are not averaged.
    """
    logging.getLogger("flwr").setLevel(logging.ERROR)
    states: list[AdapterState] = []

    def remember(server_round: int, arrays: ArrayRecord) -> None:
        if server_round:
            states.append({name: t.float() for name, t in arrays.to_torch_state_dict().items()})
            say(f"Round {server_round} of {settings.collaboration.rounds} on '{arm}' is done.")

    strategy = _strategy(settings.collaboration, len(settings.clients))
    facts = fit_facts(settings, arm, threshold=threshold, rounds=settings.collaboration.rounds)
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(start),
        num_rounds=settings.collaboration.rounds,
        train_config=strategy_facts(facts),
        evaluate_fn=remember,
    )
    return states


class _Complete:
    """Raises where a client failed, as Flower would average the rest, and averages in an order that is not random."""

    min_available_nodes: int

    def aggregate_train(self, server_round: int, replies: Any) -> Any:
        answers = in_order(replies)
        failed = [reply.error.reason for reply in answers if reply.has_error()]
        if failed or len(answers) < self.min_available_nodes:
            reasons = "; ".join(failed) or f"{self.min_available_nodes - len(answers)} did not answer"
            raise ProtocolError(f"round {server_round}: a client failed: {reasons}.")
        if not any(numbers_of(reply.content)["num-examples"] for reply in answers):
            raise ProtocolError("training: no client kept any sample; loosen selection.threshold.")
        return super().aggregate_train(server_round, answers)  # type: ignore[misc]


class _FedAvg(_Complete, FedAvg):
    pass


class _FedProx(_Complete, FedProx):
    pass


def _strategy(settings: CollaborationSettings, clients: int) -> Any:
    options: dict[str, Any] = {
        "fraction_evaluate": 0.0,
        "min_train_nodes": clients,
        "min_available_nodes": clients,
        "arrayrecord_key": "arrays",
        "configrecord_key": "config",
    }
    if settings.strategy == "fedprox":
        return _FedProx(**options, proximal_mu=settings.proximal_mu)
    return _FedAvg(**options)


def fit_facts(
    settings: RunSettings, arm: str, *, threshold: Threshold | None, rounds: int | None = None
) -> dict[str, Any]:
    """The message that asks a client to train on an arm: fully, or in one of `rounds`."""
    return {
        "settings": settings.model_dump(mode="json"),
        "arm": arm,
        "threshold": threshold.as_dict() if threshold else None,
        "rounds": rounds,
    }
