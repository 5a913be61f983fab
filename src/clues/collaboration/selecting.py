"""Selection as the coordinator sees it: anchor scores in, thresholds out, counts back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from clues.collaboration import protocol
from clues.collaboration.asking import Answer
from clues.collaboration.defending import recompute_anchors, report_anchors, threshold_of
from clues.collaboration.protocol import Content, Entry, JudgeAnswer, SelectAnswer, plain
from clues.collaboration.run import Run
from clues.io.digests import value_digest
from clues.methods.registry import method
from clues.models.adapters import AdapterState
from clues.selection.threshold import Threshold
from clues.settings import RunSettings

SHOWN_RULES = ("anchor-mean", "anchor-quantile", "anchor-deviation", "anchor-normalised", "ratio")


def select(run: Run, rounds: Sequence[AdapterState]) -> None:
    """Let every client score; remember its anchor scores and its adapter.

    Args:
        rounds: the global adapters that are the trajectory; none where each client trains its own. A client has
            received all but the last one in earlier rounds, so that only this one is sent.
    """
    # By the digest of what arrives, which float16 rounds.
    places = {value_digest(protocol.from_wire(protocol.to_wire(s, run.terms)))[:16]: n for n, s in enumerate(rounds)}
    wanted = not rounds and not run.terms.privacy.masks and _uses_adapters(run.settings)
    question = protocol.Select(job=run.job, rounds=list(places), adapter=wanted)
    last = list(places)[-1:]

    def content(digests: Sequence[str]) -> Content:
        arrays = {digest: protocol.to_wire(rounds[places[digest]], run.terms) for digest in digests}
        return Content(plain(question), protocol.bundled(arrays))

    def wrong(answer: Answer[SelectAnswer]) -> str | None:
        if answer.facts.missing:
            return None if set(answer.facts.missing) <= places.keys() else "it asks for adapters of another job"
        return wrong_scores(answer)

    def wrong_scores(answer: Answer[SelectAnswer]) -> str | None:
        lengths = {len(scores) for scores in answer.facts.anchors.values()}
        hidden = run.terms.privacy.anchors.release == "none"
        if not hidden and (lengths != {len(run.public.anchors)} or "score" not in answer.facts.anchors):
            return f"it scored {sorted(lengths)} anchors, not {len(run.public.anchors)}"
        if not wanted:
            return "it sends what was not asked for" if answer.arrays else None
        return protocol.like(run.initial)(dict(answer.arrays))

    answers = run.clients.ask_each(
        "select", dict.fromkeys(run.clients.present, content(last)), SelectAnswer, check=wrong
    )
    again = {client: content(answer.facts.missing) for client, answer in answers.items() if answer.facts.missing}
    answers |= run.clients.ask_each("select", again, SelectAnswer, check=wrong_scores)
    for client, answer in answers.items():
        member, facts = run.members[client], answer.facts
        member.anchors = {name: torch.tensor(scores, dtype=torch.float64) for name, scores in facts.anchors.items()}
        member.checks, member.weight = {str(name): count for name, count in facts.checks.items()}, facts.weight
        member.adapter = protocol.from_wire(answer.arrays)
    if run.settings.defences.recompute:
        recompute_anchors(run, list(rounds))
    report_anchors(run)


def _uses_adapters(settings: RunSettings) -> bool:
    """Whether adapters that clients have trained on all their samples are of any use to the coordinator."""
    return "mixed" in settings.evaluation.arms or settings.defences.recompute


def judge(run: Run, threshold: Threshold) -> tuple[dict[str, Any], dict[str, Any]]:
    """The verdicts of the threshold, by client; and, for comparison, those of other rules and of the paper's score."""
    settings, shares = run.settings, good_shares(run)
    entries = [("chosen", "score", threshold)]
    for column in [name for name in _shown(run) if all(name in member.anchors for member in run.present.values())]:
        default = method(settings.scoring.method).rule
        rules = [*SHOWN_RULES, *([default] if column == "score" and default not in SHOWN_RULES else [])]
        for rule in [*rules, "oracle-ratio"] if shares else rules:
            variant = settings.selection.model_copy(update={"threshold": rule})
            entries.append((f"{column} {rule}", column, threshold_of(run, anchors_of(run, column), variant, shares)))
    asked = [Entry(column=column, threshold=rule, chosen=name == "chosen") for name, column, rule in entries]  # type: ignore[arg-type]

    def wrong(answer: Answer[JudgeAnswer]) -> str | None:
        return None if len(answer.facts.verdicts) == len(entries) else "it judged by other thresholds"

    answers = run.clients.ask("judge", protocol.Judge(job=run.job, thresholds=asked), JudgeAnswer, check=wrong)
    verdicts = {
        client: {
            name: verdict.model_dump(exclude_unset=True)
            for (name, _, _), verdict in zip(entries, answer.facts.verdicts, strict=True)
        }
        for client, answer in answers.items()
    }
    selection = {client: by_rule.pop("chosen") for client, by_rule in verdicts.items()}
    names = [name for name, _, _ in entries if name != "chosen"]
    return selection, {name: {client: verdicts[client][name] for client in verdicts} for name in names}


def anchors_of(run: Run, column: str) -> Mapping[str, Tensor]:
    """The anchor scores of the clients that are present."""
    return {client: member.anchors[column] for client, member in run.present.items()}


def good_shares(run: Run) -> dict[str, float] | None:
    """The true shares of good samples, where every client has labels."""
    shares = {client: member.good_share for client, member in run.present.items() if member.good_share is not None}
    return shares if len(shares) == len(run.present) else None


def _shown(run: Run) -> Sequence[str]:
    """The scores on which thresholds are compared: the method's and, where it is computed, the paper's."""
    return ("paper", "score") if run.settings.scoring.method in ("auto", "clues") else ("score",)
