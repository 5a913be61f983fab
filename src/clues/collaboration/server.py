"""The coordinator's side of the protocol: prepare, select, threshold, train, merge, evaluate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from clues.collaboration import protocol
from clues.collaboration.arms import start, train_arm
from clues.collaboration.asking import Channel, Clients
from clues.collaboration.defending import threshold_of
from clues.collaboration.ledger import Received
from clues.collaboration.protocol import PrepareAnswer, PublicRow
from clues.collaboration.run import Member, Run
from clues.collaboration.selecting import anchors_of, good_shares, judge, select
from clues.data.questions import read_questions
from clues.data.samples import Sample, as_rows, read_many, read_public
from clues.evaluation.figures import Values
from clues.evaluation.held_out import Evaluation, evaluate_models
from clues.evaluation.judge.endpoint import greet_judge
from clues.evaluation.likelihood import evaluate
from clues.evaluation.test_set import HeldOut
from clues.io.digests import value_digest
from clues.io.files import replace_whole, write_json, write_parquet
from clues.io.progress import say
from clues.io.store import JSON, Store
from clues.merging.merging import Adapter
from clues.methods.registry import with_rule
from clues.models.adapters import AdapterState, attached, save_adapter
from clues.models.base import load_base
from clues.models.trajectory import spaced
from clues.settings import RunSettings, SelectionSettings, Terms
from clues.version import __version__


def coordinate(
    channel: Channel, settings: RunSettings, *, out: Path, store: Store, remember: bool = False
) -> dict[str, Any]:
    """Run the protocol and return the content of metrics.json.

    Args:
        remember: keep the answers of clients in the store, so that a run that was stopped does not ask again.

    Raises:
        ProtocolError: clients failed, and those that are left are fewer than the quorum; names them and their reasons.
    """
    if settings.evaluation.judge:
        greet_judge(settings.evaluation.judge, store)
    server = out / "server"
    say(f"{len(settings.clients)} clients, {settings.collaboration.mode}; results go to {out}")
    clients = Clients(
        channel,
        [client.id for client in settings.clients],
        settings.engine,
        store if remember else None,
        Received(server / "received.jsonl"),
    )
    clients.meet()
    run = _prepared(clients, settings, store)
    models: dict[str, Adapter] = {}
    weights: dict[str, dict[str, float]] = {}
    curves: dict[str, Values] = {}
    rounds: Sequence[AdapterState] = []
    tests = _held_out(run)
    if settings.collaboration.mode == "federated":
        say("Phase 1: rounds on all data; the global models of evenly spaced rounds are the trajectory.")
        models["mixed"], rounds, _ = train_arm(run, "mixed", threshold=None)
        curves["mixed"] = _curve(run, tests, rounds, arm="mixed")
    select(run, [rounds[number - 1] for number in spaced(len(rounds), settings.training.checkpoints)])
    _write_anchors(run, server / "anchors.parquet")
    selecting = with_rule(settings.selection, settings.scoring)
    threshold = threshold_of(run, anchors_of(run, "score"), selecting, good_shares(run))
    write_json(server / "threshold.json", threshold.as_dict())
    selection, variants = judge(run, threshold)
    # The model of the selected samples is the result: it is trained whether or not it is evaluated.
    product = ["selected"] if settings.collaboration.train else []
    for arm in dict.fromkeys([*settings.evaluation.arms, *product]):
        if arm == "base" or arm in models:
            continue
        rule = threshold
        if arm == "ratio":
            ratio = SelectionSettings(threshold="ratio", ratio=settings.selection.ratio)
            rule = threshold_of(run, anchors_of(run, "score"), ratio, None)
        models[arm], states, shares = train_arm(run, arm, threshold=rule)
        curves |= {arm: _curve(run, tests, states, arm=arm)} if states else {}
        weights |= {arm: shares} if shares else {}
    for name, (state, lora) in models.items():
        folder = server / "global" if name == "selected" else server / "adapters" / name
        replace_whole(folder, lambda part: save_adapter(state, lora, run.base, part))  # noqa: B023
    evaluation = _evaluate(run, tests, models)
    metrics = {
        "version": __version__,
        "clients": {
            client: {
                "samples": member.samples,
                "unusable": member.unusable,
                "checks": member.checks,
                "selection": selection[client],
            }
            for client, member in run.members.items()
            if client in selection
        },
        "absent": clients.absent,
        "defences": run.reports,
        "threshold": threshold.as_dict(),
        "variants": variants,
        "merge_weights": weights,
        "rounds": {domain: {arm: curve[domain]["nll"] for arm, curve in curves.items()} for domain in _domains(curves)},
        **evaluation.as_metrics(),
    }
    write_json(out / "metrics.json", metrics)
    return metrics


def _prepared(clients: Clients, settings: RunSettings, store: Store) -> Run:
    """Tell the clients the terms and the public samples."""
    public = read_public(validation=settings.validation, anchors=settings.anchors, data=settings.data)
    tests = read_many(settings.evaluation.tests, settings.data)
    base = load_base(settings.model)
    terms = Terms.of(settings, digest=base.digest)
    parts = {"validation": _rows(public.validation), "anchors": _rows(public.anchors), "tests": _rows(tests)}
    job = value_digest([terms, parts, sorted(clients.expected)])[:16]
    question = protocol.Prepare(job=job, terms=terms, **parts)
    answers = clients.ask("prepare", question, PrepareAnswer)
    members = {client: Member(**dict(answer.facts)) for client, answer in answers.items()}
    return Run(
        clients=clients, settings=settings, terms=terms, job=job, base=base, store=store, public=public,
        members=members, initial=start(base, settings),
    )  # fmt: skip


def _rows(samples: list[Sample] | Any) -> list[PublicRow]:
    return [PublicRow(**row) for row in as_rows(samples)]


def _held_out(run: Run) -> HeldOut:
    settings = run.settings
    samples = read_many(settings.evaluation.tests, settings.data)
    return HeldOut.of(
        run.base, samples, settings.data, questions=read_questions(settings.evaluation.choices, settings.data)
    )


def _curve(run: Run, tests: HeldOut, rounds: Sequence[AdapterState], *, arm: str) -> Values:
    """By domain, the mean NLL of the held-out tests after each round."""
    settings, limit = run.settings, run.settings.evaluation.batch_tokens
    curve: Values = {}
    for number, state in enumerate(rounds, start=1):

        def measure() -> Values:
            with attached(run.base, settings.lora, state, settings.seed) as model:  # noqa: B023
                return evaluate(model, tests.tokens, batch_tokens=limit, what=f"evaluating round {number} of {arm}")  # noqa: B023

        inputs = [run.base.digest, tests.tokens.digest, state, settings.lora]
        for domain, values in run.store.get("curves", inputs, compute=measure, codec=JSON).items():
            curve.setdefault(domain, {"nll": []})["nll"].append(fmean(values["nll"]))
    return curve


def _domains(curves: Mapping[str, Values]) -> list[str]:
    return sorted({domain for curve in curves.values() for domain in curve})


def _evaluate(run: Run, tests: HeldOut, models: Mapping[str, Adapter]) -> Evaluation:
    """All arms on the held-out tests and questions, and *selected* compared with every other."""
    arms: list[str] = list(run.settings.evaluation.arms)
    compared = {arm: None if arm == "base" else models[arm] for arm in arms}
    return evaluate_models(tests, compared, run.settings.evaluation, store=run.store, arm="selected")


def _write_anchors(run: Run, path: Path) -> None:
    anchors = {client: member.anchors for client, member in run.members.items() if member.anchors}
    rows = [(client, number) for client, columns in anchors.items() for number in range(len(columns["score"]))]
    names = [name for name in next(iter(anchors.values())) if all(name in columns for columns in anchors.values())]
    columns = {name: [float(anchors[client][name][number]) for client, number in rows] for name in names}
    write_parquet(path, {"client": [client for client, _ in rows], "anchor": [number for _, number in rows], **columns})
