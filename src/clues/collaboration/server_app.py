"""The server's side of the protocol, as a Flower ServerApp: describe, select, threshold, train, merge, evaluate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from flwr.app import Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp
from torch import Tensor

from clues.collaboration.messages import (
    ANCHOR_COLUMNS,
    DESCRIBE,
    FIT,
    JUDGE,
    SELECT,
    arrays_of,
    facts_of,
    in_order,
    numbers_of,
    pack,
)
from clues.collaboration.rounds import federate, fit_facts
from clues.data.prompts import tokenize
from clues.data.questions import read_questions
from clues.data.samples import PublicSamples, as_rows, read_many, read_public
from clues.errors import ProtocolError
from clues.evaluation.held_out import Evaluation, evaluate_models
from clues.evaluation.judge.endpoint import greet_judge
from clues.evaluation.test_set import HeldOut
from clues.io.files import replace_whole, write_json, write_parquet
from clues.io.progress import say
from clues.io.store import Store
from clues.merging.merging import Adapter, merge_adapters
from clues.merging.weights import learn_weights
from clues.methods.interface import Job, Public
from clues.methods.registry import method, with_rule
from clues.models.adapters import AdapterState, Lora, adapter_state, attached, save_adapter
from clues.models.base import Base, load_base
from clues.selection.threshold import Threshold, fit_threshold
from clues.settings import RunSettings, SelectionSettings, SiloSettings
from clues.silo.silo import Silo
from clues.version import __version__

app = ServerApp()
_WEIGHTS = {"samples": "num-examples", "quality": "expected-good"}  # by `merging.weights`: numbers that clients send
SHOWN_RULES = ("anchor-mean", "anchor-quantile", "anchor-deviation", "anchor-normalised", "ratio")


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run one collaboration; `run_config` holds the settings as JSON and the output folder."""
    settings = RunSettings.model_validate_json(str(context.run_config["settings"]))
    out, store = (Path(str(context.run_config[key])) for key in ("out", "store"))
    coordinate(grid, settings, out=out, store=Store(store))


@dataclass
class Client:
    """What the server knows about a client: counts, also of what checks found, anchor scores and its adapter.

    `numbers`: what it sent with the adapter, which is trained on all samples.
    """

    node: int
    id: str
    samples: int
    unusable: int
    good_share: float | None
    anchors: dict[str, Tensor] = field(default_factory=dict)
    numbers: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, int] = field(default_factory=dict)
    adapter: AdapterState = field(default_factory=dict)


_Trained = tuple[str, AdapterState, dict[str, Any]]  # client, adapter, numbers of the samples it was trained on


def coordinate(grid: Grid, settings: RunSettings, *, out: Path, store: Store) -> dict[str, Any]:
    """Run the protocol and return the content of metrics.json.

    Raises:
        ProtocolError: a client failed; names the client, whose log holds the reason.
    """
    server = out / "server"
    if settings.evaluation.judge:
        greet_judge(settings.evaluation.judge, store)
    say(f"{len(settings.clients)} clients, {settings.collaboration.mode}; results go to {out}")
    clients = [
        Client(reply.metadata.src_node_id, facts["id"], facts["samples"], facts["unusable"], facts["good_share"])
        for reply in _ask(grid, DESCRIBE, content=pack({}))
        for facts in [facts_of(reply.content)]
    ]
    base = load_base(settings.model)
    models: dict[str, Adapter] = {}
    weights: dict[str, dict[str, float]] = {}
    rounds: list[AdapterState] = []
    if settings.collaboration.mode == "federated":
        say("Phase 1: rounds on all data; the global model of every round is a checkpoint of the trajectory.")
        rounds = federate(grid, settings, arm="mixed", threshold=None, start=_start(base, settings))
        models["mixed"] = rounds[-1], settings.lora
    _select(grid, settings, clients=clients, rounds=rounds)
    _write_anchors(clients, server / "anchors.parquet")
    selecting = with_rule(settings.selection, settings.scoring)
    threshold = fit_threshold(_anchors(clients, "score"), selecting, _good_shares(clients))
    write_json(server / "threshold.json", threshold.as_dict())
    selection, variants = _judge(grid, settings, clients=clients, threshold=threshold)
    # The model of the selected samples is the result: it is trained whether or not it is evaluated.
    product = ["selected"] if settings.collaboration.train else []
    for arm in dict.fromkeys([*settings.evaluation.arms, *product]):
        if arm == "base" or arm in models:
            continue
        if arm == "public":
            models[arm] = _train_on_public(settings, base, store), settings.lora
            continue
        rule = _ratio(settings, clients) if arm == "ratio" else threshold
        if settings.collaboration.mode == "federated":
            say(f"Phase 2: rounds on '{arm}'.")
            states = federate(grid, settings, arm=arm, threshold=rule, start=_start(base, settings))
            models[arm] = states[-1], settings.lora
        else:
            say(f"Phase 2: training on '{arm}', then merging.")
            trained = _train(grid, settings, clients=clients, arm=arm, threshold=rule)
            models[arm], weights[arm] = _merge(settings, base, trained=trained)
    for name, (state, lora) in models.items():
        folder = server / "global" if name == "selected" else server / "adapters" / name
        _write_adapter(state, lora, base=base, folder=folder)
    evaluation = _evaluate(settings, base, models=models, store=store)
    metrics = {
        "version": __version__,
        "clients": {
            client.id: {
                "samples": client.samples,
                "unusable": client.unusable,
                "checks": client.checks,
                "selection": selection[client.id],
            }
            for client in clients
        },
        "threshold": threshold.as_dict(),
        "variants": variants,
        "merge_weights": weights,
        **evaluation.as_metrics(),
    }
    write_json(out / "metrics.json", metrics)
    return metrics


def _ask(grid: Grid, kind: str, *, content: RecordDict, nodes: Sequence[int] | None = None) -> list[Message]:
    """Send a message to every client (or to `nodes`) and wait for all answers, in the order of the nodes."""
    nodes = list(nodes if nodes is not None else grid.get_node_ids())
    messages = [Message(content, message_type=kind, dst_node_id=node) for node in nodes]
    replies = list(grid.send_and_receive(messages))
    failed = [reply.error.reason for reply in replies if reply.has_error()]
    if failed:
        raise ProtocolError("a client failed in " + kind + ": " + "; ".join(failed) + ".")
    if len(replies) < len(nodes):
        raise ProtocolError(f"{len(nodes) - len(replies)} clients did not answer {kind}; start them, then run again.")
    return in_order(replies)


def _select(grid: Grid, settings: RunSettings, *, clients: list[Client], rounds: Sequence[AdapterState]) -> None:
    """Let every client score; store its anchor scores and its adapter."""
    validation, anchors = _public(settings)
    facts = {
        "settings": settings.model_dump(mode="json"),
        "validation": as_rows(validation),
        "anchors": as_rows(anchors),
        "learning_rates": [settings.training.learning_rate] * len(rounds),
    }
    arrays = {f"{number}/{name}": t for number, state in enumerate(rounds) for name, t in state.items()}
    by_node = {client.node: client for client in clients}
    for reply in _ask(grid, SELECT, content=pack(facts, arrays=arrays or None), nodes=list(by_node)):
        client = by_node[reply.metadata.src_node_id]
        client.numbers = numbers = numbers_of(reply.content)
        columns = [name for name in ANCHOR_COLUMNS if name in numbers]
        client.anchors = {name: torch.tensor(numbers[name], dtype=torch.float64) for name in columns}
        client.checks = facts_of(reply.content)["checks"]
        client.adapter = arrays_of(reply.content)


def _judge(
    grid: Grid, settings: RunSettings, *, clients: list[Client], threshold: Threshold
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The verdicts of the threshold, by client; and, for comparison, those of other rules and of the paper's score."""
    entries = [("chosen", "score", threshold)]
    shares = _good_shares(clients)
    for column in [name for name in _shown(settings) if all(name in client.anchors for client in clients)]:
        default = method(settings.scoring.method).rule
        rules = [*SHOWN_RULES, *([default] if column == "score" and default not in SHOWN_RULES else [])]
        for rule in [*rules, "oracle-ratio"] if shares else rules:
            variant = settings.selection.model_copy(update={"threshold": rule})
            entries.append((f"{column} {rule}", column, fit_threshold(_anchors(clients, column), variant, shares)))
    facts = [
        {"column": column, "threshold": threshold.as_dict(), "chosen": name == "chosen"}
        for name, column, threshold in entries
    ]
    verdicts = {
        answer["id"]: dict(zip([name for name, _, _ in entries], answer["verdicts"], strict=True))
        for reply in _ask(grid, JUDGE, content=pack({"thresholds": facts, "drop": settings.selection.drop}))
        for answer in [facts_of(reply.content)]
    }
    selection = {client: by_rule.pop("chosen") for client, by_rule in verdicts.items()}
    names = [name for name, _, _ in entries if name != "chosen"]
    return selection, {name: {client: verdicts[client][name] for client in verdicts} for name in names}


def _shown(settings: RunSettings) -> Sequence[str]:
    """The scores on which thresholds are compared: the method's and, where it is computed, the paper's."""
    return ("paper", "score") if settings.scoring.method in ("auto", "clues") else ("score",)


def _train(
    grid: Grid, settings: RunSettings, *, clients: list[Client], arm: str, threshold: Threshold
) -> list[_Trained]:
    """Every client trains on the part of its data that the arm names; those that have none of it are omitted."""
    states, numbers = [client.adapter for client in clients], [client.numbers for client in clients]
    if arm != "mixed":  # the last checkpoint of the selection phase is the result of training on all samples
        facts = fit_facts(settings, arm, threshold=threshold)
        replies = _ask(grid, FIT, content=pack(facts), nodes=[client.node for client in clients])
        states = [arrays_of(reply.content) for reply in replies]
        numbers = [numbers_of(reply.content) for reply in replies]
    trained = [
        (client.id, state, of_client)
        for client, state, of_client in zip(clients, states, numbers, strict=True)
        if of_client["num-examples"]
    ]
    if not trained:
        raise ProtocolError("training: no client kept any sample; loosen selection.threshold.")
    return trained


def _merge(settings: RunSettings, base: Base, *, trained: Sequence[_Trained]) -> tuple[Adapter, dict[str, float]]:
    """(The merged adapter, weights by client)."""
    adapters: list[Adapter] = [(state, settings.lora) for _, state, _ in trained]
    weights = _weights(settings, base, adapters=adapters, numbers=[numbers for *_, numbers in trained])
    merged = merge_adapters(base, adapters, weights=weights, settings=settings.merging, seed=settings.seed)
    return merged, {client: weight / sum(weights) for (client, *_), weight in zip(trained, weights, strict=True)}


def _weights(
    settings: RunSettings, base: Base, *, adapters: Sequence[Adapter], numbers: Sequence[Mapping[str, Any]]
) -> Sequence[float]:
    """The weights that `merging.weights` names, one per adapter."""
    if settings.merging.weights in _WEIGHTS:
        return [of_client[_WEIGHTS[settings.merging.weights]] for of_client in numbers]
    if settings.merging.weights == "equal" or len(adapters) == 1:
        return [1.0] * len(adapters)
    validation, anchors = _public(settings)
    tokens = tokenize([*anchors, *validation], base, settings.data)
    limit = settings.evaluation.batch_tokens
    return learn_weights(base, adapters, tokens=tokens, settings=settings.merging, batch_tokens=limit)


def _train_on_public(settings: RunSettings, base: Base, store: Store) -> AdapterState:
    """A control: what the public samples alone can teach (arXiv 2602.12323)."""
    validation, anchors = _public(settings)
    tokens = tokenize([*validation, *anchors], base, settings.data)
    job = Job(base=base, private=tokens, public=Public.none(), settings=SiloSettings.of(settings))
    say("Phase 2: training on 'public'.")
    return Silo(job, store=store).train(range(len(tokens)), what="training on the public samples")


def _start(base: Base, settings: RunSettings) -> AdapterState:
    with attached(base, settings.lora, seed=settings.seed) as model:
        return adapter_state(model)


def _evaluate(settings: RunSettings, base: Base, *, models: Mapping[str, Adapter], store: Store) -> Evaluation:
    """All arms on the held-out tests and questions, and *selected* compared with every other."""
    samples = read_many(settings.evaluation.tests, settings.data)
    questions = read_questions(settings.evaluation.choices, settings.data)
    tests = HeldOut.of(base, samples, settings.data, questions=questions)
    arms: list[str] = list(settings.evaluation.arms)
    compared = {arm: None if arm == "base" else models[arm] for arm in arms}
    return evaluate_models(tests, compared, settings.evaluation, store=store, arm="selected")


def _ratio(settings: RunSettings, clients: list[Client]) -> Threshold:
    ratio = SelectionSettings(threshold="ratio", ratio=settings.selection.ratio)
    return fit_threshold(_anchors(clients, "score"), ratio)


def _public(settings: RunSettings) -> PublicSamples:
    return read_public(validation=settings.validation, anchors=settings.anchors, data=settings.data)


def _anchors(clients: list[Client], column: str) -> dict[str, Tensor]:
    return {client.id: client.anchors[column] for client in clients}


def _good_shares(clients: list[Client]) -> dict[str, float] | None:
    shares = {client.id: client.good_share for client in clients if client.good_share is not None}
    return shares if len(shares) == len(clients) else None


def _write_adapter(state: AdapterState, lora: Lora, *, base: Base, folder: Path) -> None:
    replace_whole(folder, lambda part: save_adapter(state, lora, base, part))


def _write_anchors(clients: list[Client], path: Path) -> None:
    rows = [(client, number) for client in clients for number in range(len(client.anchors["score"]))]
    columns = {name: [float(client.anchors[name][number]) for client, number in rows] for name in clients[0].anchors}
    write_parquet(path, {"client": [c.id for c, _ in rows], "anchor": [number for _, number in rows], **columns})
