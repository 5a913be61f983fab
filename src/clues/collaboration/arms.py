"""The models of a run: every arm is trained by the clients together, on the part of their data that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clues.collaboration import protocol
from clues.collaboration.asking import Answer
from clues.collaboration.protocol import TrainAnswer, Weight
from clues.collaboration.run import Run
from clues.collaboration.strategies import aggregator
from clues.data.prompts import tokenize
from clues.errors import ProtocolError
from clues.io.progress import say
from clues.merging.merging import Adapter, merge_adapters
from clues.merging.weights import learn_weights
from clues.methods.interface import Job, Public
from clues.models.adapters import AdapterState, adapter_state, attached
from clues.models.base import Base
from clues.selection.threshold import Threshold
from clues.settings import RunSettings, SiloSettings
from clues.silo.silo import Silo

_Trained = Mapping[str, tuple[AdapterState, Weight]]  # by client
_NOTHING = "training: no client kept any sample; loosen selection.threshold."


def train_arm(
    run: Run, arm: str, *, threshold: Threshold | None
) -> tuple[Adapter, list[AdapterState], dict[str, float]]:
    """(The adapter of an arm, the global adapters of its rounds, the weights of merging by client).

    Raises:
        ProtocolError: clients failed, or kept no samples.
    """
    lora = run.settings.lora
    if arm == "public":
        return (_train_on_public(run), lora), [], {}
    if run.settings.collaboration.mode == "federated":
        states = federate(run, arm, threshold=threshold)
        return (states[-1], lora), states, {}
    say(f"Phase 2: training on '{arm}', then merging.")
    merged, weights = _merge(run, _train(run, arm, threshold=threshold))
    return merged, [], weights


def federate(run: Run, arm: str, *, threshold: Threshold | None) -> list[AdapterState]:
    """Rounds of local training and aggregation; the epochs or steps of `training` are spread over the rounds.

    A round continues where the last one ended in a client's samples (`clues.training.walk`), with the learning rate's
    schedule from its start.

    Returns:
        The global adapter after each round.
    """
    rounds, states, current = run.settings.collaboration.rounds, [], run.initial
    step = aggregator(run.settings.collaboration)
    say(f"{rounds} rounds on '{arm}'.")
    for number in range(1, rounds + 1):
        answers = _asked(run, arm, threshold=threshold, number=number, initial=current)
        trained = [(state, weight.samples) for state, weight in answers.values()]
        if not any(count for _, count in trained):
            raise ProtocolError(_NOTHING)
        current = step(number, current, trained)
        states.append(current)
        say(f"Round {number} of {rounds} on '{arm}' is done.")
    return states


def _train(run: Run, arm: str, *, threshold: Threshold | None) -> _Trained:
    """Every client trains on the part of its data that the arm names; those that have none of it are omitted."""
    if arm == "mixed":  # the last checkpoint of the selection phase is the result of training on all samples
        answers = {client: (member.adapter, member.weight) for client, member in run.present.items()}
    else:
        answers = _asked(run, arm, threshold=threshold)
    trained = {client: (state, weight) for client, (state, weight) in answers.items() if weight.samples}
    if not trained:
        raise ProtocolError(_NOTHING)
    return trained


def _asked(
    run: Run, arm: str, *, threshold: Threshold | None, number: int = 0, initial: AdapterState | None = None
) -> dict[str, tuple[AdapterState, Weight]]:
    fits = protocol.like(run.initial)

    def wrong(answer: Answer[TrainAnswer]) -> str | None:
        nothing = not answer.facts.weight.samples and not answer.arrays
        return None if nothing else fits(dict(answer.arrays))

    question = protocol.Train(job=run.job, arm=arm, threshold=threshold, round=number)  # type: ignore[arg-type]
    arrays = protocol.to_wire(initial, run.terms) if initial else None
    answers = run.clients.ask("train", question, TrainAnswer, arrays=arrays, check=wrong)
    return {client: (protocol.from_wire(a.arrays), a.facts.weight) for client, a in answers.items()}


def _merge(run: Run, trained: _Trained) -> tuple[Adapter, dict[str, float]]:
    """(The merged adapter, weights by client)."""
    settings = run.settings
    adapters: list[Adapter] = [(state, settings.lora) for state, _ in trained.values()]
    weights = _weights(run, adapters, sizes=[weight for _, weight in trained.values()])
    merged = merge_adapters(run.base, adapters, weights=weights, settings=settings.merging, seed=settings.seed)
    return merged, {client: weight / sum(weights) for client, weight in zip(trained, weights, strict=True)}


def _weights(run: Run, adapters: Sequence[Adapter], *, sizes: Sequence[Weight]) -> Sequence[float]:
    """The weights that `merging.weights` names, one per adapter."""
    settings, by = run.settings, run.settings.merging.weights
    if by == "samples":
        return [size.samples for size in sizes]
    if by == "quality":
        return [size.expected_good or 0.0 for size in sizes]
    if by == "equal" or len(adapters) == 1:
        return [1.0] * len(adapters)
    tokens = tokenize([*run.public.anchors, *run.public.validation], run.base, settings.data)
    limit = settings.evaluation.batch_tokens
    return learn_weights(run.base, adapters, tokens=tokens, settings=settings.merging, batch_tokens=limit)


def _train_on_public(run: Run) -> AdapterState:
    """A control: what the public samples alone can teach (arXiv 2602.12323)."""
    tokens = tokenize([*run.public.validation, *run.public.anchors], run.base, run.settings.data)
    job = Job(base=run.base, private=tokens, public=Public.none(), settings=SiloSettings.of(run.settings))
    say("Phase 2: training on 'public'.")
    return Silo(job, store=run.store).train(range(len(tokens)), what="training on the public samples")


def start(base: Base, settings: RunSettings) -> AdapterState:
    """The adapter that every training starts from."""
    with attached(base, settings.lora, seed=settings.seed) as model:
        return adapter_state(model)
