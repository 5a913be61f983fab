"""The client's side of the protocol, as a Flower ClientApp.

A client answers with adapter tensors, anchor scores and counts, nothing else; every answer is written to the
client's ledger before it is sent, and an error travels as its kind alone, its text stays in the client's log.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from clues.collaboration.ledger import Ledger
from clues.collaboration.messages import ANCHOR_COLUMNS, arrays_of, facts_of, ledger_items, pack, strategy_number
from clues.data.prompts import tokenize
from clues.data.samples import Private, Sample, parse_samples, read_private
from clues.io.files import write_json
from clues.io.progress import acting
from clues.models.adapters import AdapterState
from clues.models.base import load_base
from clues.models.trajectory import Checkpoint, load_trajectory
from clues.selection.metrics import read_labels, selection_metrics
from clues.selection.threshold import Threshold
from clues.settings import DataSettings, RunSettings
from clues.silo.silo import ScoreTable, fit_silo, read_table, score_in_run, score_silo, write_selection
from clues.training.fit import fit_trajectory
from clues.training.walk import round_rows

app = ClientApp()
_Answer = Callable[[Message, Context], RecordDict]


def _answers(function: _Answer) -> Callable[[Message, Context], Message]:
    """Turn what a function returns into a reply: recorded in the ledger, and sanitised where it fails."""

    @functools.wraps(function)
    def reply(message: Message, context: Context) -> Message:
        folder = Path(str(context.node_config["folder"]))
        try:
            with acting(str(context.node_config["client"])):
                answer = Message(function(message, context), reply_to=message)
            Ledger(folder / "ledger.jsonl").write(message.metadata.message_type, ledger_items(answer))
            return answer
        except Exception as error:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / "errors.log").open("a", encoding="utf-8") as log:
                log.write(traceback.format_exc() + "\n")
            reason = f"{context.node_config['client']}: {type(error).__name__}; its errors.log says more"
            Ledger(folder / "ledger.jsonl").write("error", {"reason": ([1], reason.encode())})
            return Message(Error(code=1000, reason=reason), reply_to=message)

    return reply


@app.query("describe")
@_answers
def describe(message: Message, context: Context) -> RecordDict:
    """Who is here, how many samples there are, and how many records cannot be used."""
    client = _Client(context)
    private = _private(client)
    samples = private.samples
    kinds = _kinds(client, samples)
    share = None if kinds is None else sum(not kind for kind in kinds) / len(kinds)
    return pack({"id": client.id, "samples": len(samples), "unusable": len(private.unusable), "good_share": share})


@app.train("select")
@_answers
def select(message: Message, context: Context) -> RecordDict:
    """Train or receive a trajectory, score private samples and anchors, answer with the anchors' scores."""
    client, folder, facts = _Client(context), Path(str(context.node_config["folder"])), facts_of(message.content)
    settings = RunSettings.model_validate(facts["settings"])
    base = load_base(settings.model)
    samples = _tokens(_private(client).samples, base, settings)
    validation = _tokens(parse_samples(facts["validation"], "validation"), base, settings)
    anchors = _tokens(parse_samples(facts["anchors"], "anchors"), base, settings)
    if settings.scoring.walk == "in-run":
        _, anchor_table = score_in_run(
            base,
            settings.lora,
            samples,
            validation,
            anchors,
            settings.training,
            settings.scoring,
            settings.seed,
            folder,
        )
        checkpoints, _ = load_trajectory(folder / "trajectory", base)
        return _selected(client, anchor_table, checkpoints[-1].state, len(samples))
    if facts["learning_rates"]:
        checkpoints = _received(arrays_of(message.content), facts["learning_rates"])
        config: Any = settings.lora
    else:
        fit_trajectory(base, settings.lora, samples, settings.training, settings.seed, folder / "trajectory")
        checkpoints, config = load_trajectory(folder / "trajectory", base)
    _, anchor_table = score_silo(base, checkpoints, config, samples, validation, anchors, settings.scoring, folder)
    own = None if facts["learning_rates"] else checkpoints[-1].state
    return _selected(client, anchor_table, own, len(samples))


def _selected(client: _Client, anchors: ScoreTable, adapter: AdapterState | None, samples: int) -> RecordDict:
    scores = {name: values.tolist() for name, values in anchors.columns.items() if name in ANCHOR_COLUMNS}
    return pack({"id": client.id}, adapter, {"num-examples": samples, **scores})


@app.query("judge")
@_answers
def judge(message: Message, context: Context) -> RecordDict:
    """Apply several thresholds, each to the column it was fitted on; counts, and metrics where labels are.

    What the chosen one keeps is the client's selection: kept.jsonl, dropped.jsonl and selection.json.
    """
    client, folder = _Client(context), Path(str(context.node_config["folder"]))
    private = _private(client)
    table, kinds = read_table(folder / "scores.parquet"), _kinds(client, private.samples)
    verdicts = []
    for entry in facts_of(message.content)["thresholds"]:
        scores, threshold = table.columns[entry["column"]], Threshold(**entry["threshold"])
        kept = threshold.keep(scores, client.id).tolist()
        verdict: dict[str, Any] = {"kept": sum(kept), "dropped": len(kept) - sum(kept)}
        if entry["chosen"]:
            write_selection(private, table, threshold, client.id, folder)
            counts = {**verdict, "unusable": len(private.unusable)}
            write_json(folder / "selection.json", {**threshold.as_dict(), **counts})
        if kinds is not None:
            verdict |= selection_metrics(scores.tolist(), kept, kinds)
        verdicts.append(verdict)
    return pack({"id": client.id, "verdicts": verdicts})


@app.train()
@_answers
def fit_round(message: Message, context: Context) -> RecordDict:
    """Train on the part of the data that the arm names; the adapter goes back."""
    client, folder, facts = _Client(context), Path(str(context.node_config["folder"])), facts_of(message.content)
    settings = RunSettings.model_validate(facts["settings"])
    base = load_base(settings.model)
    samples = _private(client).samples
    chosen = _chosen(facts, client, samples, folder)
    tokens = _tokens([sample for sample, keep in zip(samples, chosen, strict=True) if keep], base, settings)
    initial, kept = arrays_of(message.content), len(tokens)
    if facts["rounds"] and kept:
        number = int(strategy_number(message.content, "server-round", 1))
        rows = round_rows(kept, settings.training, settings.seed, number, facts["rounds"])
        tokens = [tokens[row] for row in rows]
    if not tokens:  # nothing here is good enough (the answer counts for nothing), or too little for every round
        return pack(None, initial, {"num-examples": kept})
    state = fit_silo(
        base,
        settings.lora,
        tokens,
        settings.training,
        settings.seed,
        folder,
        initial=initial or None,
        proximal_mu=strategy_number(message.content, "proximal-mu", 0.0),
        what=f"training on {facts['arm']} ({kept} samples)",
        in_order=bool(facts["rounds"]),
    )
    return pack(None, state, {"num-examples": kept})


def _chosen(facts: dict[str, Any], client: _Client, samples: Sequence[Sample], folder: Path) -> list[bool]:
    if facts["arm"] == "mixed":
        return [True] * len(samples)
    if facts["arm"] == "oracle":
        kinds = _kinds(client, samples) or []
        return [not kind for kind in kinds]
    table = read_table(folder / "scores.parquet")
    kept: list[bool] = Threshold(**facts["threshold"]).keep(table.scores, client.id).tolist()
    return kept


class _Client:
    def __init__(self, context: Context) -> None:
        self.id = str(context.node_config["client"])
        self.data = str(context.node_config["data"])
        self.labels = str(context.node_config.get("labels") or "")
        self.reading = DataSettings.model_validate_json(str(context.node_config["reading"]))


def _private(client: _Client) -> Private:
    return read_private(client.data, client.reading)


def _kinds(client: _Client, samples: Sequence[Sample]) -> list[str] | None:
    if not client.labels:
        return None
    labels = read_labels(client.labels, [sample.id for sample in samples])
    return [labels[sample.id] for sample in samples]


def _tokens(samples: Sequence[Sample], base: Any, settings: RunSettings) -> Any:
    return tokenize(samples, base, settings.data)


def _received(arrays: dict[str, torch.Tensor], rates: list[float]) -> list[Checkpoint]:
    """Checkpoints out of one message, where tensor names carry the number of the round."""
    states: list[AdapterState] = [{} for _ in rates]
    for name, tensor in arrays.items():
        number, _, key = name.partition("/")
        states[int(number)][key] = tensor
    return [Checkpoint(state, rate) for state, rate in zip(states, rates, strict=True)]
