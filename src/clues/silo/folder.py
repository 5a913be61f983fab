"""The folder of one data owner: where `clues score` has written, or a client's part of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clues.data.samples import Private, PublicSamples, parse_samples, read_private, read_public
from clues.data.telling import told_before
from clues.errors import OutputError
from clues.io.digests import value_digest
from clues.io.files import read_json
from clues.methods.registry import with_rule
from clues.selection.threshold import Threshold
from clues.settings import ScoreSettings, SelectionSettings, Terms, read_toml, validated
from clues.silo.marks import DECISIONS
from clues.silo.scored import SAMPLES, Scored, select_by_anchors
from clues.silo.selection import Selection
from clues.silo.tables import ScoreTable

# In a client's folder of a job: the terms with the public samples, the way to the owner's file, the chosen threshold.
JOB, OWNER, THRESHOLD = "job.json", "owner.json", "threshold.json"


@dataclass(frozen=True)
class OwnerFolder:
    """What an owner has once the samples are scored.

    `fit`: makes the selection by the scores, without the owner's decisions. `apply`: the command that selects again.
    """

    path: Path
    private: Private
    public: PublicSamples
    table: ScoreTable
    fit: Callable[[], Selection]
    apply: str

    @cached_property
    def ids(self) -> list[str]:
        return [sample.id for sample in self.private.samples]

    @cached_property
    def by_score(self) -> Selection:
        return self.fit()

    @property
    def decisions(self) -> Path:
        return self.path / DECISIONS


@told_before()
def open_folder(folder: Path) -> OwnerFolder:
    """The folder of an owner; of a run with a single client, that client's.

    Raises:
        OutputError: the folder has no scores, or belongs to several clients, or the samples have changed since.
    """
    if (folder / SAMPLES).is_file() and (folder / "config.toml").is_file():
        scored_by, private = scored_samples(folder)
        return OwnerFolder(
            path=folder,
            private=private,
            public=read_public(validation=scored_by.validation, anchors=scored_by.anchors, data=scored_by.data),
            table=ScoreTable(folder / SAMPLES),
            fit=lambda: select_by_anchors(Scored(folder), with_rule(_selected_by(folder), scored_by.scoring)),
            apply=f"clues select {folder}",
        )
    if (folder / SAMPLES).is_file() and (folder / OWNER).is_file():
        return _of_client(folder)
    clients = sorted(path.parent for path in folder.glob(f"clients/*/{SAMPLES}"))
    if len(clients) == 1:
        return _of_client(clients[0])
    if clients:
        raise OutputError(f"{folder}: has several clients; name one of {', '.join(map(str, clients))}.")
    raise OutputError(f"{folder}: holds no {SAMPLES}; run clues score with --out {folder} first.")


@told_before()
def scored_samples(folder: Path) -> tuple[ScoreSettings, Private]:
    """The settings that `clues score` wrote a folder by, and its samples.

    Raises:
        OutputError: the folder was not scored, or the samples have changed since.
    """
    if not (folder / SAMPLES).is_file():
        raise OutputError(f"{folder}: holds no {SAMPLES}; run clues score with --out {folder} first.")
    scored_by = validated(ScoreSettings, read_toml(folder / "config.toml"))
    private = read_private(scored_by.samples, scored_by.data)
    if read_json(folder / "samples.json")["sha256"] != private_digest(private):
        raise OutputError(f"{scored_by.samples}: has changed since it was scored; run clues score with another --out.")
    return scored_by, private


def private_digest(private: Private) -> str:
    """A digest of the full content of a private file."""
    digest = hashlib.sha256()
    for sample in private.samples:
        digest.update(value_digest([sample.id, sample.record]).encode())
    return value_digest([digest.hexdigest(), *([each.id, each.record, each.reason] for each in private.unusable)])


def _selected_by(folder: Path) -> SelectionSettings:
    """The settings of the latest `clues select`, by default its defaults."""
    file = folder / "selection.json"
    return SelectionSettings(**read_json(file)["settings"]) if file.is_file() else SelectionSettings()


def _of_client(folder: Path) -> OwnerFolder:
    """A client's folder of a job, on this machine or another: it holds the terms and the way to the owner's file."""
    owner, job = read_json(folder / OWNER), read_json(folder / JOB)
    terms = Terms.model_validate(job["terms"])
    private = read_private(owner["data"], terms.data.model_copy(update={"dialect": owner["dialect"]}))
    table = ScoreTable(folder / SAMPLES)
    if [sample.id for sample in private.samples] != table.ids:
        raise OutputError(f"{owner['data']}: has changed since it was scored; run the job again.")

    def fit() -> Selection:
        if not (folder / THRESHOLD).is_file():
            raise OutputError(f"{folder}: has no threshold yet; let the run finish first.")
        threshold = Threshold(**read_json(folder / THRESHOLD))
        return Selection(table, threshold, owner["id"], drop=terms.selection.drop)

    public = PublicSamples(*(parse_samples(job[part], part) for part in ("validation", "anchors")))
    run = folder.resolve().parents[1]
    apply = f"clues run {run / 'config.toml'} --out {run}" if (run / "config.toml").is_file() else "the next run"
    return OwnerFolder(path=folder, private=private, public=public, table=table, fit=fit, apply=apply)
