"""`clues score`: one's own file, without any collaboration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.checks.findings import check_samples, tell_findings
from clues.data.samples import Private, read_many, read_private, read_public
from clues.errors import ConfigError, all_of
from clues.io.files import write_json
from clues.io.processes import mute_others, once
from clues.io.run_folder import claim_folder, refuse_other_run, write_provenance
from clues.methods.registry import checked_method
from clues.models.adapters import load_adapter
from clues.models.base import Base, load_base
from clues.models.trajectory import Checkpoint, Trained, load_trajectory
from clues.settings import ScoreSettings, SiloSettings
from clues.silo.checked import Checked
from clues.silo.folder import private_digest
from clues.silo.job import make_job
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
    config = settings.model_dump(mode="json")
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
