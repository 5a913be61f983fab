"""The folder of one data owner: where `clues score` has written, or a client's part of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from clues.data.samples import Private, read_private
from clues.errors import OutputError
from clues.io.digests import value_digest
from clues.io.files import read_json
from clues.methods.registry import with_rule
from clues.selection.threshold import Threshold
from clues.settings import RunSettings, ScoreSettings, SelectionSettings, read_toml, validated
from clues.silo.review import DECISIONS
from clues.silo.scored import SAMPLES, Scored, select_by_anchors
from clues.silo.selection import Selection
from clues.silo.tables import ScoreTable


@dataclass(frozen=True)
class OwnerFolder:
    """What an owner has once the samples are scored.

    `fit`: makes the selection by the scores, without the owner's decisions. `apply`: the command that selects again.
    """

    path: Path
    private: Private
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
            table=ScoreTable(folder / SAMPLES),
            fit=lambda: select_by_anchors(Scored(folder), with_rule(_selected_by(folder), scored_by.scoring)),
            apply=f"clues select {folder}",
        )
    if (folder / SAMPLES).is_file() and folder.resolve().parent.name == "clients":
        return _of_client(folder)
    clients = sorted(path.parent for path in folder.glob(f"clients/*/{SAMPLES}"))
    if len(clients) == 1:
        return _of_client(clients[0])
    if clients:
        raise OutputError(f"{folder}: has several clients; name one of {', '.join(map(str, clients))}.")
    raise OutputError(f"{folder}: holds no {SAMPLES}; run clues score with --out {folder} first.")


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
    client, run = folder.resolve().name, folder.resolve().parents[1]
    settings = validated(RunSettings, read_toml(run / "config.toml"))
    sources = [each.data for each in settings.clients if each.id == client]
    if not sources:
        raise OutputError(f"{folder}: {run / 'config.toml'} names no client '{client}'; name a folder of that run.")
    private, table = read_private(sources[0], settings.data), ScoreTable(folder / SAMPLES)
    command = f"clues run {run / 'config.toml'} --out {run}"
    if [sample.id for sample in private.samples] != table.ids:
        raise OutputError(f"{sources[0]}: has changed since it was scored; run {command} again.")

    def fit() -> Selection:
        if not (run / "server/threshold.json").is_file():
            raise OutputError(f"{run}: has no threshold yet; let {command} finish first.")
        threshold = Threshold(**read_json(run / "server/threshold.json"))
        return Selection(table, threshold, client, drop=settings.selection.drop)

    return OwnerFolder(path=folder, private=private, table=table, fit=fit, apply=command)
