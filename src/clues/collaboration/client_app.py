"""The client's side of the protocol, as a Flower ClientApp.

A client answers with adapter tensors, anchor scores and counts only. Every answer is written to the client's ledger
before it is sent; of an error only the type is sent, the text stays in the client's log.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from flwr.app import Context, Error, Message, RecordDict
from flwr.clientapp import ClientApp

from clues.checks.findings import check_samples, tell_findings
from clues.collaboration.ledger import Ledger
from clues.collaboration.messages import ANCHOR_COLUMNS, arrays_of, facts_of, ledger_items, pack, strategy_number
from clues.data.prompts import tokenize
from clues.data.samples import Private, PublicSamples, Sample, parse_samples, read_many, read_private
from clues.io.files import write_json
from clues.io.progress import acting
from clues.io.store import Store
from clues.methods.interface import Job, Public
from clues.models.adapters import AdapterState
from clues.models.base import load_base
from clues.models.trajectory import Checkpoint, Trained
from clues.selection.metrics import read_labels, selection_metrics
from clues.selection.threshold import Threshold
from clues.settings import DataSettings, LoraSettings, RunSettings, SiloSettings
from clues.silo.checked import Checked
from clues.silo.job import make_job
from clues.silo.review import DECISIONS, read_decisions, reviewed
from clues.silo.scored import SAMPLES
from clues.silo.selection import Selection, counts, write_selection
from clues.silo.silo import Silo
from clues.silo.tables import ScoreTable
from clues.training.walk import round_rows

app = ClientApp()
_Answer = Callable[[Message, Context], RecordDict]


def _answers(function: _Answer) -> Callable[[Message, Context], Message]:
    """Turn a function's result into a reply that is recorded in the ledger, and its errors into sanitised ones."""

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
    """The client's id, the number of its samples, and the number of unusable records."""
    client = _Client(context)
    private, kinds = client.private, client.kinds
    share = None if kinds is None else sum(not kind for kind in kinds) / len(kinds)
    facts = {"samples": len(private.samples), "unusable": len(private.unusable), "good_share": share}
    return pack({"id": client.id, **facts})


@app.train("select")
@_answers
def select(message: Message, context: Context) -> RecordDict:
    """Train or receive a trajectory, score and check private samples; answer with anchor scores and counts."""
    client, facts = _Client(context), facts_of(message.content)
    settings = RunSettings.model_validate(facts["settings"])
    public = PublicSamples(*(parse_samples(facts[part], part) for part in ("validation", "anchors")))
    silo = client.silo(settings, public)
    received = _received(arrays_of(message.content), facts["learning_rates"], lora=settings.lora)
    trained = received or silo.trajectory()
    scored = silo.score(trained)
    anchors, found = scored.anchors, Checked(scored.samples).counts()
    numbers: dict[str, Any] = {name: anchors[name].tolist() for name in anchors.names if name in ANCHOR_COLUMNS}
    adapter = None if received else trained.state
    numbers |= client.counts(range(len(silo.job.private)), settings)
    return pack({"id": client.id, "checks": found}, arrays=adapter, numbers=numbers)


@app.query("judge")
@_answers
def judge(message: Message, context: Context) -> RecordDict:
    """Apply several thresholds, each to the column it was fitted on; answer with counts, and with metrics given labels.

    What the chosen one keeps is the client's selection: kept.jsonl, dropped.jsonl and selection.json.
    """
    client = _Client(context)
    private, kinds, table = client.private, client.kinds, ScoreTable(client.folder / SAMPLES)
    facts, verdicts = facts_of(message.content), []
    for entry in facts["thresholds"]:
        threshold, drop = Threshold(**entry["threshold"]), facts["drop"]
        selection = Selection(table, threshold, client.id, entry["column"], drop)
        if entry["chosen"]:
            selection = client.reviewed(selection)
        verdict = counts(selection)
        if entry["chosen"]:
            write_selection(private, selection, client.folder)
            found = {"unusable": len(private.unusable), "checks": selection.checked.counts()}
            write_json(client.folder / "selection.json", {**selection.threshold.as_dict(), **verdict, **found})
        if kinds is not None:
            verdict |= selection_metrics(selection.scores.tolist(), selection.kept, kinds)
        verdicts.append(verdict)
    return pack({"id": client.id, "verdicts": verdicts})


@app.train()
@_answers
def fit_round(message: Message, context: Context) -> RecordDict:
    """Train on the part of the data that the arm names, and answer with the adapter."""
    client, facts = _Client(context), facts_of(message.content)
    settings = RunSettings.model_validate(facts["settings"])
    initial = arrays_of(message.content)
    silo = client.silo(settings)
    rows = client.rows(facts, len(silo.job.private))
    count, numbers = len(rows), client.counts(rows, settings)
    if facts["rounds"] and count:
        number = int(strategy_number(message.content, "server-round", default=1))
        places = round_rows(count, settings.training, seed=settings.seed, number=number, rounds=facts["rounds"])
        rows = [rows[place] for place in places]
    if not rows:  # nothing was selected (the answer has weight 0), or too little for every round
        return pack(arrays=initial, numbers=numbers)
    state = silo.train(
        rows,
        initial=initial or None,
        in_order=bool(facts["rounds"]),
        proximal_mu=strategy_number(message.content, "proximal-mu", default=0.0),
        what=f"training on {facts['arm']} ({count} samples)",
    )
    return pack(arrays=state, numbers=numbers)


class _Client:
    """The configuration of the client's machine."""

    def __init__(self, context: Context) -> None:
        config = context.node_config
        self.id, self.data, self.labels = str(config["client"]), str(config["data"]), str(config["labels"])
        self.test_files = str(config["tests"]).splitlines()
        self.reading = DataSettings.model_validate_json(str(config["reading"]))
        self.folder, self.store = Path(str(config["folder"])), Store(Path(str(config["store"])))

    @cached_property
    def private(self) -> Private:
        return read_private(self.data, self.reading)

    @cached_property
    def tests(self) -> list[Sample]:
        """Held-out tests that the client's samples should not contain."""
        return read_many(self.test_files, self.reading)

    @cached_property
    def kinds(self) -> list[str] | None:
        """The corruption type of each sample, empty for good ones; None without labels."""
        if not self.labels:
            return None
        labels = read_labels(self.labels, [sample.id for sample in self.private.samples])
        return [labels[sample.id] for sample in self.private.samples]

    def silo(self, settings: RunSettings, public: PublicSamples | None = None) -> Silo:
        """With public samples to score, without them to train."""
        base, silo_settings, samples = load_base(settings.model), SiloSettings.of(settings), self.private.samples
        findings = None
        if public:
            job = make_job(base, samples, public, settings=silo_settings)
            findings = check_samples(samples, public, self.tests)
            tell_findings(findings, samples, f"client {self.id}")
        else:
            tokens = tokenize(samples, base, settings.data)
            job = Job(base=base, private=tokens, public=Public.none(), settings=silo_settings)
        return Silo(job, findings=findings, store=self.store, folder=self.folder, name=self.id)

    def counts(self, rows: Sequence[int], settings: RunSettings) -> dict[str, int | float]:
        """The number of these samples and, to weight an adapter by, how many of them are expected to be good."""
        numbers: dict[str, int | float] = {"num-examples": len(rows)}
        if settings.merging.weights == "quality" and settings.collaboration.mode == "merging":
            log_odds = ScoreTable(self.folder / SAMPLES).score[list(rows)]
            numbers["expected-good"] = float(log_odds.sigmoid().sum())
        return numbers

    def reviewed(self, selection: Selection) -> Selection:
        """The selection given the owner's decisions, where the client's folder holds any."""
        file = self.folder / DECISIONS
        return reviewed(selection, read_decisions(file, selection.table.ids)) if file.is_file() else selection

    def rows(self, facts: dict[str, Any], samples: int) -> Sequence[int]:
        """The samples that an arm trains on."""
        if facts["arm"] == "mixed":
            return range(samples)
        if facts["arm"] == "oracle":
            return [row for row, kind in enumerate(self.kinds or []) if not kind]
        threshold, drop = Threshold(**facts["threshold"]), facts["settings"]["selection"]["drop"]
        selection = self.reviewed(Selection(ScoreTable(self.folder / SAMPLES), threshold, self.id, drop=drop))
        return [row for row, keep in enumerate(selection.kept) if keep]


def _received(arrays: dict[str, torch.Tensor], rates: list[float], *, lora: LoraSettings) -> Trained | None:
    """The trajectory in a message, whose tensor names start with the number of the round; None where there is none."""
    states: list[AdapterState] = [{} for _ in rates]
    for name, tensor in arrays.items():
        number, _, key = name.partition("/")
        states[int(number)][key] = tensor
    points = [Checkpoint(state, rate) for state, rate in zip(states, rates, strict=True)]
    return Trained(lora, points) if points else None
