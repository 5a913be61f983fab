"""The models of a run: every arm is trained by the clients together, on the part of their data that it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from clues.collaboration import protocol
from clues.collaboration.asking import Answer
from clues.collaboration.defences import contributions
from clues.collaboration.defending import NOTHING, Trained, capped, defended, public_loss
from clues.collaboration.masking import masked_sum, shares_of
from clues.collaboration.memory import CONTENT
from clues.collaboration.protocol import Content, TrainAnswer, WeighAnswer, Weight
from clues.collaboration.run import Rounds, Run
from clues.collaboration.strategies import aggregator
from clues.data.prompts import tokenize
from clues.errors import ProtocolError
from clues.io.progress import say
from clues.merging.merging import Adapter, merge_adapters
from clues.merging.updates import factored, lora_pairs, lora_state, products
from clues.merging.weights import learn_weights
from clues.methods.interface import Job, Public
from clues.models.adapters import AdapterState, adapter_state, attached
from clues.models.base import Base
from clues.selection.threshold import Threshold
from clues.settings import RunSettings, SiloSettings
from clues.silo.silo import Silo


def train_arm(
    run: Run, arm: str, *, threshold: Threshold | None
) -> tuple[Adapter, Sequence[AdapterState], dict[str, float]]:
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
    if run.terms.privacy.masks:
        state, weights = _masked_merge(run, arm, threshold=threshold)
        return (state, lora), [], weights
    merged, weights = _merge(run, _train(run, arm, threshold=threshold), arm)
    return merged, [], weights


def federate(run: Run, arm: str, *, threshold: Threshold | None) -> Sequence[AdapterState]:
    """Rounds of local training and aggregation; the epochs or steps of `training` are spread over the rounds.

    A round continues where the last one ended in a client's samples (`clues.training.walk`), with the learning rate's
    schedule from its start.

    Returns:
        The global adapter after each round.
    """
    chosen, states, current = run.settings.collaboration, Rounds(run.store), run.initial
    aggregate = aggregator(
        chosen.strategy, chosen.strategy_options, clients=len(run.present), aggregation=chosen.aggregation
    )
    weights = _weighed(run, arm, threshold=threshold) if run.terms.privacy.masks else {}
    say(f"{chosen.rounds} rounds on '{arm}'.")
    for number in range(1, chosen.rounds + 1):
        question = protocol.Train(job=run.job, arm=arm, threshold=threshold, round=number)  # type: ignore[arg-type]
        known = _known_round(run, question)
        if known:
            current = known["adapter"]
            aggregate.restore(known.get("strategy", {}), current)
        elif run.terms.privacy.masks:
            current = masked_sum(run, question, weights, initial=current)
        else:
            trained = defended(run, _asked(run, question, initial=current), start=current, arm=f"{arm} {number}")
            weighed = capped({client: weight.samples for client, (_, weight) in trained.items()}, run.settings.defences)
            answers = [(state, weighed[client]) for client, (state, _) in trained.items() if state]
            current = aggregate.step(number, current, answers)
        if not known:
            _remember_round(run, question, {"adapter": current, "strategy": aggregate.state(current)})
        states.append(current)
        say(f"Round {number} of {chosen.rounds} on '{arm}' is done.")
    return states


def _known_round(run: Run, question: protocol.Train) -> dict[str, AdapterState] | None:
    """What a round of a run that was stopped had come to: the adapter, and what the strategy remembers."""
    memory = run.clients.memory
    known = memory.find("ended", [question, run.settings.defences], codec=CONTENT) if memory else None
    if known is None:
        return None
    run.clients.absent.update(known.facts["absent"])
    run.reports.update(known.facts["reports"])
    return protocol.unbundled(known.arrays, ["adapter", "strategy"])


def _remember_round(run: Run, question: protocol.Train, states: Mapping[str, AdapterState]) -> None:
    """Keep a round's result in place of the clients' answers, of which there are many."""
    memory = run.clients.memory
    if memory:
        facts = {"absent": run.clients.absent, "reports": run.reports}
        content, inputs = Content(facts, protocol.bundled(states)), [question, run.settings.defences]
        memory.get("ended", inputs, compute=lambda: content, codec=CONTENT)
        memory.drop("answers/train")


def _train(run: Run, arm: str, *, threshold: Threshold | None) -> Trained:
    """Every client trains on the part of its data that the arm names; those that have none of it are omitted."""
    if arm == "mixed":  # the last checkpoint of the selection phase is the result of training on all samples
        answers: Trained = {client: (member.adapter, member.weight) for client, member in run.present.items()}
        for member in run.members.values():
            member.adapter = {}  # nothing else needs it, and they are many
    else:
        answers = _asked(run, protocol.Train(job=run.job, arm=arm, threshold=threshold))  # type: ignore[arg-type]
    trained = {client: (state, weight) for client, (state, weight) in answers.items() if weight.samples}
    if not trained:
        raise ProtocolError(NOTHING)
    return defended(run, trained, start=run.initial, arm=arm)


def _asked(run: Run, question: protocol.Train, *, initial: AdapterState | None = None) -> Trained:
    fits = protocol.like(run.initial)

    def wrong(answer: Answer[TrainAnswer]) -> str | None:
        nothing = not answer.facts.weight.samples and not answer.arrays
        return None if nothing else fits(dict(answer.arrays))

    arrays = protocol.to_wire(initial, run.terms) if initial else None
    answers = run.clients.ask("train", question, TrainAnswer, arrays=arrays, check=wrong)
    return {client: (protocol.from_wire(a.arrays), a.facts.weight) for client, a in answers.items()}


def _masked_merge(run: Run, arm: str, *, threshold: Threshold | None) -> tuple[AdapterState, dict[str, float]]:
    """(The merged adapter, weights by client): products B·A are summed under masks, and factored to `lora.r`."""
    weights = _weighed(run, arm, threshold=threshold)
    question = protocol.Train(job=run.job, arm=arm, threshold=threshold)  # type: ignore[arg-type]
    total = masked_sum(run, question, weights, like=products(lora_pairs(run.initial)))
    return lora_state(factored(total, run.settings.lora.r)), shares_of(run, weights)


def _weighed(run: Run, arm: str, *, threshold: Threshold | None) -> dict[str, float]:
    """What every client's adapter weighs in a masked sum, where `merging.weights` or a federation's rule says so."""
    question = protocol.Weigh(job=run.job, arm=arm, threshold=threshold)  # type: ignore[arg-type]
    answers = run.clients.ask("weigh", question, WeighAnswer)
    counts = {client: float(answer.facts.weight.samples) for client, answer in answers.items()}
    if not any(counts.values()):
        raise ProtocolError(NOTHING)
    if run.settings.collaboration.mode == "merging" and run.settings.merging.weights == "equal":
        return {client: float(count > 0) for client, count in counts.items()}
    return capped(counts, run.settings.defences)


def _merge(run: Run, trained: Trained, arm: str) -> tuple[Adapter, dict[str, float]]:
    """(The merged adapter, weights by client)."""
    settings, clients = run.settings, list(trained)
    adapters: list[Adapter] = [(state, settings.lora) for state, _ in trained.values()]
    weights = _weights(run, adapters, sizes=[weight for _, weight in trained.values()])

    def merged(some: Sequence[str]) -> Adapter:
        places = [clients.index(client) for client in some]
        chosen, shares = [adapters[place] for place in places], [weights[place] for place in places]
        return merge_adapters(run.base, chosen, weights=shares, settings=settings.merging, seed=settings.seed)

    if settings.defences.contributions:
        found = contributions(clients, lambda some: public_loss(run, merged(some)))
        run.reports.setdefault("contributions", {})[arm] = found
    return merged(clients), {client: weight / sum(weights) for client, weight in zip(clients, weights, strict=True)}


def _weights(run: Run, adapters: Sequence[Adapter], *, sizes: Sequence[Weight]) -> Sequence[float]:
    """The weights that `merging.weights` names, one per adapter."""
    settings, by = run.settings, run.settings.merging.weights
    if by in ("samples", "quality"):
        claimed = [size.samples if by == "samples" else size.expected_good or 0.0 for size in sizes]
        return list(capped(dict(enumerate(claimed)), settings.defences).values())
    if by == "equal" or len(adapters) == 1:
        return [1.0] * len(adapters)
    tokens = tokenize([*run.public.anchors, *run.public.validation], run.base, settings.data)
    limit = settings.scoring.batch_tokens
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
