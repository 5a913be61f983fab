"""`clues score` and `clues select`: one's own file, without any collaboration."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

from clues.data.prompts import tokenize
from clues.data.samples import Private, overlap, read_private, read_public
from clues.data.telling import tell_overlap
from clues.errors import ConfigError, OutputError, all_of
from clues.io.files import claim_folder, read_json, refuse_other_run, value_digest, write_json
from clues.io.processes import mute_others, once
from clues.io.provenance import write_provenance
from clues.methods.registry import checked_method, with_rule
from clues.models.adapters import load_adapter
from clues.models.base import Base, load_base
from clues.models.trajectory import Checkpoint, load_trajectory
from clues.passes.directions import domain_weights
from clues.passes.gradients import check_modules
from clues.report.pages import write_samples_page
from clues.selection.metrics import read_labels, selection_metrics
from clues.selection.threshold import fit_threshold
from clues.settings import ScoreSettings, SelectionSettings, read_toml, validated
from clues.silo.silo import read_table, score_in_run, score_silo, write_selection
from clues.training.fit import fit_trajectory

ALONE = "me"


def score(settings: ScoreSettings, out: Path) -> dict[str, Any]:
    """Score every sample of a file; write scores.parquet, anchors.parquet and the trajectory to `out`.

    Under `accelerate launch` or `torchrun` the main process trains and writes, and every process scores a share.

    Returns:
        A summary: number of samples and anchors, mean scores of both.

    Raises:
        CluesError: settings or data are wrong, or the model's loss is no number.
    """
    # The size of a batch changes how fast scores come, not what they are: a run is the same without it.
    config = settings.model_dump(mode="json", exclude={"scoring": {"batch_size", "batch_tokens"}})
    mute_others()
    once(lambda: refuse_other_run(out, config))
    _refuse_contradictions(settings)
    chosen, own, (validation, anchors), base = all_of(
        lambda: checked_method(settings.scoring),
        lambda: read_private(settings.samples, settings.data),
        lambda: read_public(settings.validation, settings.anchors, settings.data),
        lambda: load_base(settings.model),
    )
    tell_overlap(overlap(own.samples, [*validation, *anchors]), settings.samples)
    trained = _trained(settings, base)
    domains = sorted({sample.domain for sample in validation})
    private, public_v, public_a, *_ = all_of(
        *(functools.partial(tokenize, part, base, settings.data) for part in (own.samples, validation, anchors)),
        lambda: domain_weights(domains, settings.scoring.domain_weights),
        lambda: check_modules(base, trained[1] if trained else settings.lora, settings.scoring.modules),
    )
    once(lambda: claim_folder(out, config))
    once(lambda: write_provenance(out))
    if settings.scoring.walk == "in-run":
        public = (public_v, public_a, settings.training, settings.scoring, settings.seed, out)
        once(lambda: score_in_run(base, settings.lora, private, *public))
        return _summary(out, own)
    if trained is None and not chosen.trajectory:
        trained = [], settings.lora
    if trained is None:
        folder, seed = out / "trajectory", settings.seed
        once(lambda: fit_trajectory(base, settings.lora, private, settings.training, seed, folder))
        trained = load_trajectory(out / "trajectory", base)
    score_silo(base, *trained, private, public_v, public_a, settings.scoring, out)
    return _summary(out, own)


def _refuse_contradictions(settings: ScoreSettings) -> None:
    if settings.trajectory and settings.adapter:
        raise ConfigError("trajectory, adapter: give one of the two, or none to train a trajectory.")
    if settings.scoring.walk == "in-run" and (settings.trajectory or settings.adapter):
        raise ConfigError("scoring.walk: in-run scores while it trains; give neither --trajectory nor --adapter.")


def _summary(out: Path, own: Private) -> dict[str, Any]:
    once(lambda: write_json(out / "samples.json", {"sha256": _digest(own)}))
    table, anchors = read_table(out / "scores.parquet"), read_table(out / "anchors.parquet")
    return {
        "samples": len(table.ids),
        **_unusable(own),
        "anchors": len(anchors.ids),
        "mean_score": float(table.scores.mean()),
        "mean_anchor_score": float(anchors.scores.mean()),
    }


def _trained(settings: ScoreSettings, base: Base) -> tuple[list[Checkpoint], Any] | None:
    """The checkpoints that are given, with their LoRA configuration; None where a trajectory is to be trained."""
    if settings.adapter:
        state, lora = load_adapter(Path(settings.adapter), base)
        return [Checkpoint(state, learning_rate=1.0)], lora
    return load_trajectory(Path(settings.trajectory), base) if settings.trajectory else None


def _unusable(own: Private) -> dict[str, int]:
    """How many records cannot be used, where there are any."""
    return {"unusable": len(own.unusable)} if own.unusable else {}


def _digest(own: Private) -> str:
    """Of everything that a private file held."""
    usable = [[sample.id, sample.record] for sample in own.samples]
    return value_digest([*usable, *([each.id, each.record, each.reason] for each in own.unusable)])


def select(folder: Path, settings: SelectionSettings, labels: str | None = None) -> dict[str, Any]:
    """Apply a threshold to a folder that `score` wrote; write kept.jsonl, dropped.jsonl, selection.json, report.html.

    Returns:
        What selection.json holds: threshold, rule, kept, dropped, and metrics where labels are given.
    """
    if not (folder / "scores.parquet").is_file():
        raise OutputError(f"{folder}: holds no scores.parquet; run clues score with --out {folder} first.")
    scored = validated(ScoreSettings, read_toml(folder / "config.toml"))
    own = read_private(scored.samples, scored.data)
    samples = own.samples
    if read_json(folder / "samples.json")["sha256"] != _digest(own):
        raise OutputError(f"{scored.samples}: has changed since it was scored; run clues score with another --out.")
    table, anchors = read_table(folder / "scores.parquet"), read_table(folder / "anchors.parquet")
    kinds = None
    if labels:
        by_id = read_labels(labels, [sample.id for sample in samples])
        kinds = [by_id[sample.id] for sample in samples]
    good_share = {ALONE: sum(not kind for kind in kinds) / len(kinds)} if kinds else None
    settings = with_rule(settings, scored.scoring)
    threshold = fit_threshold({ALONE: anchors.scores}, settings, good_share)
    kept, why = write_selection(own, table, threshold, ALONE, folder)
    result: dict[str, Any] = {
        "threshold": threshold.share[ALONE] if threshold.value is None else threshold.limit(ALONE),
        "rule": threshold.rule,
        "kept": sum(kept),
        "dropped": len(kept) - sum(kept),
        "unusable": len(own.unusable),
    }
    if kinds is not None:
        result |= selection_metrics(table.scores.tolist(), kept, kinds)
    write_json(folder / "selection.json", {**result, "settings": settings.model_dump()})
    rows = [
        {"id": s.id, "prompt": s.context[-1]["content"], "response": s.response, "score": v, "kept": k, "reason": r}
        for s, v, k, r in zip(samples, table.scores.tolist(), kept, why, strict=True)
    ]
    unusable = [{"id": each.id, "place": Path(each.place).name, "reason": each.reason} for each in own.unusable]
    write_samples_page(folder / "report.html", rows, result, unusable)
    return result
