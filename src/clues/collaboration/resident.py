"""A data owner that answers the questions of any number of jobs, each in a folder of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from clues.collaboration.client import Client
from clues.collaboration.protocol import VERSION, Content, Failure, HelloAnswer, plain
from clues.data.samples import read_private
from clues.errors import all_of
from clues.io.store import Store
from clues.models.base import load_base
from clues.selection.metrics import read_labels
from clues.settings import DataSettings, SiloFile
from clues.silo.folder import JOB
from clues.version import __version__

_ID = re.compile(r"[0-9a-f]{16}")  # of a job


class Resident:
    """Model and data of the latest job stay loaded between its questions."""

    def __init__(self, own: SiloFile) -> None:
        self.own, self._home = own, Path(own.folder)
        self._store = Store(self._home / "store")
        self._client: Client | None = None

    @property
    def folder(self) -> Path | None:
        """Private results of the job that was asked about last."""
        return self._client.folder if self._client else None

    def answer(self, kind: str, facts: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Content | Failure:
        if kind == "hello":
            return Content(plain(HelloAnswer(id=self.own.id, protocol=VERSION, version=__version__)), {})
        job = facts.get("job") if isinstance(facts, Mapping) else None
        if not isinstance(job, str) or not _ID.fullmatch(job):  # it names a folder
            return Failure("the message names no job")
        folder = self._home / "jobs" / job if self.own.by_job else self._home
        if kind != "prepare" and not (folder / JOB).is_file():  # it must not open a folder either
            return Failure("the question is about a job that this client was not prepared for")
        if self._client is None or self._client.folder != folder:
            self._client = Client(self.own, folder, self._store)
        return self._client.answer(kind, facts, arrays)


def examined(own: SiloFile) -> list[str]:
    """A line for data and model each. Raises CluesError if they cannot be used; lists all reasons."""
    return all_of(lambda: _data(own), lambda: _model(own))


def _data(own: SiloFile) -> str:
    private = read_private(own.data, DataSettings(dialect=own.dialect))
    if own.labels:
        read_labels(own.labels, [sample.id for sample in private.samples])
    return f"data: {len(private.samples)} samples, {len(private.unusable)} unusable records"


def _model(own: SiloFile) -> str:
    return f"model: {own.model.id}, digest {load_base(own.model).digest[:16]}"
