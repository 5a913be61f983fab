"""`clues score` and `clues select`: one's own file, without any collaboration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.checks.findings import check_samples, tell_findings
from clues.data.samples import Private, read_many, read_private, read_public
from clues.data.telling import told_before
from clues.errors import ConfigError, all_of
from clues.io.files import read_json, write_json, write_jsonl
from clues.io.processes import mute_others, once
from clues.io.run_folder import claim_folder, refuse_other_run, write_provenance
from clues.methods.registry import checked_method, with_rule
from clues.models.adapters import load_adapter
from clues.models.base import Base, load_base
from clues.models.trajectory import Checkpoint, Trained, load_trajectory
from clues.report.owner_page import OwnerData, write_owner_page
from clues.selection.metrics import read_labels, selection_metrics
from clues.selection.reviewed import worth_reviewing
from clues.settings import ScoreSettings, SelectionSettings, SiloSettings, validated
from clues.silo.checked import Checked
from clues.silo.folder import open_folder, private_digest, scored_samples
from clues.silo.job import make_job
from clues.silo.review import DECISIONS, read_decisions, read_marks, reviewed
from clues.silo.scored import ALONE, Scored, select_by_anchors
from clues.silo.selection import Selection, counts, write_selection
from clues.silo.silo import Silo
from clues.training.reporting import check_reporting


def score(settings: ScoreSettings, out: Path) -> dict[str, Any]:
    """Score every sample of a file; write scores.parquet, anchors.parquet and the trajectory to `out`.

    Under `accelerate launch` or `torchrun` the main process trains and writes, and every process scores a share.

    Returns:
        A summary: number of samples and anchors, mean scores of both, and how many samples each check found.

    Raises:
        CluesError: settings or data are wrong, or the model's loss is no number.
    """
    # The batch size changes the speed of scoring and not its result, so it does not distinguish runs.
    config = settings.model_dump(mode="json", exclude={"scoring": {"batch_size", "batch_tokens"}})
    mute_others()
    once(lambda: refuse_other_run(out, config))
    _refuse_contradictions(settings)
    _, _, private, public, tests, base = all_of(
        lambda: checked_method(settings.scoring),
        lambda: check_reporting(settings.training.report_to),
        lambda: read_private(settings.samples, settings.data),
        lambda: read_public(validation=settings.validation, anchors=settings.anchors, data=settings.data),
        lambda: read_many(settings.tests, settings.data),
        lambda: load_base(settings.model),
    )
    trained = _trained(settings, base)
    chosen = SiloSettings.of(settings)
    job = make_job(base, private.samples, public, settings=chosen, lora=trained and trained.lora)
    once(lambda: claim_folder(out, config))
    once(lambda: write_provenance(out))
    facts, unusable = {"sha256": private_digest(private)}, _unusable(private)
    once(lambda: write_json(out / "samples.json", facts))
    findings = check_samples(private.samples, public, tests)
    tell_findings(findings, private.samples, settings.samples)
    del private  # the index of a large file, which scoring does not need
    scored = Silo(job, folder=out, findings=findings).score(trained)
    return {
        "samples": len(scored.samples),
        **unusable,
        "anchors": len(scored.anchors),
        "mean_score": float(scored.score.mean()),
        "mean_anchor_score": float(scored.anchors.score.mean()),
        "checks": Checked(scored.samples).counts(),
        **({"note": scored.samples.note} if scored.samples.note else {}),
    }


def _refuse_contradictions(settings: ScoreSettings) -> None:
    if settings.trajectory and settings.adapter:
        raise ConfigError("trajectory, adapter: give one of the two, or none to train a trajectory.")
    if settings.scoring.walk == "in-run" and (settings.trajectory or settings.adapter):
        raise ConfigError("scoring.walk: in-run scores while it trains; give neither --trajectory nor --adapter.")


def _trained(settings: ScoreSettings, base: Base) -> Trained | None:
    """The trajectory that is given; None where one is to be trained."""
    if settings.adapter:
        state, lora = load_adapter(Path(settings.adapter), base)
        return Trained(lora, [Checkpoint(state, learning_rate=1.0)])
    return load_trajectory(Path(settings.trajectory), base) if settings.trajectory else None


def _unusable(private: Private) -> dict[str, int]:
    """How many records cannot be used, where there are any."""
    return {"unusable": len(private.unusable)} if private.unusable else {}


def select(
    folder: Path, settings: SelectionSettings, *, labels: str | None = None, decisions: str | None = None
) -> dict[str, Any]:
    """Apply a threshold to a folder that `score` wrote; write kept.jsonl, dropped.jsonl, selection.json, report.html.

    Args:
        labels: a file of true labels, for metrics. decisions: a file of samples that their owner judged; by default,
            decisions.jsonl in the folder, if it exists.

    Returns:
        What selection.json holds: threshold, rule, kept, dropped, how many samples each check found, and metrics where
        labels are given.
    """
    scored_by, private = scored_samples(folder)
    kinds, file = None, Path(decisions or folder / DECISIONS)
    if labels:
        by_id = read_labels(labels, [sample.id for sample in private.samples])
        kinds = [by_id[sample.id] for sample in private.samples]
    good_share = sum(not kind for kind in kinds) / len(kinds) if kinds else None
    settings = with_rule(settings, scored_by.scoring)
    selection = select_by_anchors(Scored(folder), settings, good_share=good_share)
    if decisions or file.is_file():
        selection = reviewed(selection, read_decisions(file, selection.table.ids))
    threshold = selection.threshold
    write_selection(private, selection, folder)
    result: dict[str, Any] = {
        "threshold": threshold.share[ALONE] if threshold.value is None else threshold.limit(ALONE),
        "rule": threshold.rule,
        **counts(selection),
        "checks": selection.checked.counts(),
        "unusable": len(private.unusable),
    }
    if kinds is not None:
        result |= selection_metrics(selection.scores.tolist(), selection.kept, kinds)
    reproduced = {"settings": settings.model_dump(), "good_share": good_share, "decisions": decisions}
    write_json(folder / "selection.json", {**result, **reproduced})
    _write_page(folder, scored_by, private, selection)
    return result


def report_selection(folder: Path) -> Path:
    """Write the page of a folder that `select` wrote, by the same settings and the owner's present decisions."""
    scored_by, private = scored_samples(folder)
    made = read_json(folder / "selection.json")
    settings = validated(SelectionSettings, made["settings"])
    selection = select_by_anchors(Scored(folder), settings, good_share=made["good_share"])
    file = Path(made["decisions"] or folder / DECISIONS)
    if file.is_file():
        selection = reviewed(selection, read_decisions(file, selection.table.ids))
    return _write_page(folder, scored_by, private, selection)


@told_before()
def _write_page(folder: Path, scored_by: ScoreSettings, private: Private, selection: Selection) -> Path:
    public = read_public(validation=scored_by.validation, anchors=scored_by.anchors, data=scored_by.data)
    name, anchors = Path(scored_by.samples).name, Scored(folder).anchors
    data = OwnerData(name=name, private=private, public=public, selection=selection, anchors=anchors)
    return write_owner_page(folder, data)


def suggest(folder: Path, count: int) -> tuple[Path, list[dict[str, Any]]]:
    """The samples of an owner's folder that are most worth reviewing, each with an empty `quality` to fill in.

    Samples that were marked already, also as unsure, are left out.

    Returns:
        The file that they are written to, to-review.jsonl in the folder, and the samples.
    """
    owner = open_folder(folder)
    scores, marks = owner.table.score, read_marks(owner.decisions, owner.ids) if owner.decisions.is_file() else {}
    open_rows = [row for row in range(len(scores)) if row not in marks or not marks[row].quality]
    chosen = [open_rows[place] for place in worth_reviewing(scores[open_rows], count)]
    suggestions = [
        {
            "id": sample.id,
            "quality": "",
            "score": float(scores[row]),
            "prompt": sample.context[-1]["content"],
            "response": sample.response,
        }
        for row in chosen
        for sample in [owner.private.samples[row]]
    ]
    file = owner.path / "to-review.jsonl"
    write_jsonl(file, suggestions)
    return file, suggestions
