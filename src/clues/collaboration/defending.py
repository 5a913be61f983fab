"""What the coordinator does with the answers of clients that may lie, as `defences` sets it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict
from statistics import fmean
from typing import TypeVar

from clues.collaboration.defences import capped_weights, check_anchors, check_updates, robust_threshold
from clues.collaboration.protocol import Weight
from clues.collaboration.recomputed import disagreement, recomputed_anchors
from clues.collaboration.run import Run
from clues.data.prompts import tokenize
from clues.errors import ProtocolError
from clues.evaluation.likelihood import evaluate
from clues.io.progress import say
from clues.merging.merging import Adapter
from clues.models.adapters import AdapterState, attached
from clues.models.base import at_rest
from clues.models.trajectory import Checkpoint
from clues.models.trajectory import Trained as Trajectory
from clues.passes.passes import Passes
from clues.passes.sizing import batch_limits
from clues.selection.threshold import AnchorScores, Threshold
from clues.settings import DefenceSettings, SelectionSettings, SiloSettings
from clues.silo.job import make_job

NOTHING = "training: no client kept any sample; loosen selection.threshold."
Trained = Mapping[str, tuple[AdapterState, Weight]]  # by client
K = TypeVar("K", bound=Hashable)


def defended(run: Run, trained: Trained, *, start: AdapterState, arm: str) -> Trained:
    """The answers without those that look like a liar's, if `defences.updates` says so; reports go to the run.

    Raises:
        ProtocolError: none is left.
    """
    settings = run.settings.defences
    if settings.updates == "off":
        return trained
    updates = {
        c: {n: t - start[n] for n, t in state.items()} for c, (state, weight) in trained.items() if weight.samples
    }
    reports = check_updates(updates, factor=settings.norm_factor)
    suspicious = {client: report.reasons for client, report in reports.items() if report.reasons}
    for client, reasons in suspicious.items():
        say(f"The adapter of {client} on '{arm}' is suspicious: {'; '.join(reasons)}.")
    run.reports.setdefault("updates", {})[arm] = {client: asdict(report) for client, report in reports.items()}
    if settings.updates == "report":
        return trained
    left = {client: answer for client, answer in trained.items() if client not in suspicious}
    if not left:
        raise ProtocolError(f"defences.updates: every adapter on '{arm}' is suspicious; see the report, or use report.")
    return left


def capped(weights: Mapping[K, float], settings: DefenceSettings) -> dict[K, float]:
    """Weights of at most `defences.weight_cap` times the median of the others'."""
    if settings.weight_cap is None:
        return dict(weights)
    by_name = {str(name): weight for name, weight in weights.items()}
    limited = capped_weights(by_name, factor=settings.weight_cap)
    return {name: limited[str(name)] for name in weights}


def threshold_of(
    run: Run, anchors: AnchorScores, settings: SelectionSettings, shares: dict[str, float] | None
) -> Threshold:
    """The rule fitted on anchor scores, with the clients' values averaged as `defences.threshold` says."""
    defences = run.settings.defences
    return robust_threshold(anchors, settings, statistic=defences.threshold, trim=defences.trim, good_share=shares)


def recompute_anchors(run: Run, rounds: list[AdapterState]) -> None:
    """Replace the anchor scores that clients sent by the coordinator's own, and report how they differ.

    Raises:
        ConfigError: the method's anchor scores need what only a client has.
    """
    settings = run.settings
    job = make_job(run.base, [], run.public, settings=SiloSettings.of(settings))
    size, tokens = batch_limits(run.base, settings.scoring)
    passes = Passes(base=run.base, store=run.store, batch_size=size, batch_tokens=tokens)
    reports = {}
    for client, member in run.present.items():
        states = rounds or [member.adapter]
        points = [Checkpoint(state, settings.training.learning_rate) for state in states]
        with at_rest(run.base):
            own = recomputed_anchors(job, Trajectory(settings.lora, points), passes)
        sent = member.anchors
        reports[client] = {name: asdict(disagreement(sent[name], own[name])) for name in own if name in sent}
        member.anchors = {**sent, **own}
    run.reports["recomputed"] = reports


def public_loss(run: Run, adapter: Adapter) -> float:
    """The mean NLL of the public samples, in nats per token."""
    state, lora = adapter
    tokens = tokenize([*run.public.validation, *run.public.anchors], run.base, run.settings.data)
    with attached(run.base, lora, state, run.settings.seed) as model:
        losses = evaluate(
            model, tokens, batch_tokens=run.settings.evaluation.batch_tokens, what="what clients contribute"
        )
    return fmean(loss for measures in losses.values() for loss in measures["nll"])


def report_anchors(run: Run) -> None:
    """Say whose anchor scores lie far from the others'."""
    anchors = {client: member.anchors["score"] for client, member in run.present.items() if "score" in member.anchors}
    reports = check_anchors(anchors)
    run.reports["anchors"] = {
        client: {**asdict(report), "suspicious": report.suspicious} for client, report in reports.items()
    }
