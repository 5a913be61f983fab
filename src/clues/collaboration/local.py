"""A collaboration in one process: settings and data are checked first, then server and clients run."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clues.collaboration.client import Client
from clues.collaboration.flower.simulation import simulate
from clues.collaboration.flower.submitting import deploy
from clues.collaboration.in_process import InProcess
from clues.collaboration.privacy.keys import public_text, read_key, write_key
from clues.collaboration.server import coordinate
from clues.data.prompts import tokenize
from clues.data.questions import read_questions
from clues.data.samples import Sample, overlap, read_many, read_private, read_public
from clues.data.telling import tell_leaks, tell_overlap
from clues.errors import ConfigError, all_of
from clues.evaluation.held_out import check_packages
from clues.evaluation.test_set import tokenize_options
from clues.io.run_folder import claim_folder, refuse_other_run, write_provenance
from clues.io.store import Store
from clues.methods.registry import checked_method
from clues.models.base import load_base
from clues.passes.directions import domain_weights
from clues.passes.gradients import check_modules
from clues.selection.metrics import read_labels
from clues.settings import AllowSettings, ClientSettings, DataSettings, MaskSettings, RunSettings, SiloFile
from clues.training.reporting import check_reporting


def collaborate(settings: RunSettings, out: Path, *, stores: Path | None = None) -> dict[str, Any]:
    """Run the protocol and return the content of metrics.json; an interrupted run resumes.

    Args:
        stores: the folder of finished work, with a subfolder per party; by default, it is in each party's own folder.

    Raises:
        CluesError: settings or data are wrong (before any long work), or a client failed.
    """
    refuse_other_run(out, settings.model_dump(mode="json"))
    check(settings)
    claim_folder(out, settings.model_dump(mode="json"))
    write_provenance(out)
    if settings.engine.name == "deployment":
        return deploy(settings, out)
    silos = _with_masks([_silo(client, settings, out) for client in settings.clients], settings)
    if settings.engine.name == "simulation":
        return simulate(settings, out, silos=silos)
    clients = {
        own.id: Client(own, Path(own.folder), Store(stores / own.id if stores else Path(own.folder, "store")))
        for own in silos
    }
    store = Store(stores / "server" if stores else out / "server" / "store")
    return coordinate(InProcess(clients), settings, out=out, store=store)


def _silo(client: ClientSettings, settings: RunSettings, out: Path) -> SiloFile:
    """A client's own file, as it would be on a machine of its own."""
    folder = (out / "clients" / client.id).absolute()
    return SiloFile(
        **client.model_dump(), by_job=False, folder=str(folder), dialect=settings.data.dialect, model=settings.model,
        allow=AllowSettings(megabytes=10**6, thresholds=10**6, report_to=_others(settings)),
    )  # fmt: skip


def _others(settings: RunSettings) -> list[Any]:
    """What losses are reported to, beyond files."""
    return [name for name in settings.training.report_to if name != "tensorboard"]


def _with_masks(silos: list[SiloFile], settings: RunSettings) -> list[SiloFile]:
    """Where the run asks for masks, every client with a key, and the public keys of all."""
    if not settings.privacy.masks:
        return silos
    keys = {silo.id: Path(silo.folder, "mask.key") for silo in silos}
    pinned = {client: public_text(read_key(key)) if key.is_file() else write_key(key) for client, key in keys.items()}
    return [
        silo.model_copy(update={"masks": MaskSettings(key=str(keys[silo.id]), pinned=pinned, allow_changes=True)})
        for silo in silos
    ]


def check(settings: RunSettings) -> None:
    """Read and render every file, and try the adapter on the base, before any long work.

    Raises:
        CluesError: lists all that is wrong with settings, files, model or template.
    """
    data = settings.data
    public, tests, questions, _, base, *clients = all_of(
        lambda: read_public(validation=settings.validation, anchors=settings.anchors, data=data),
        lambda: read_many(settings.evaluation.tests, data),
        lambda: read_questions(settings.evaluation.choices, data),
        lambda: checked_method(settings.scoring),
        lambda: load_base(settings.model),
        *(functools.partial(_checked_client, client, data) for client in settings.clients if client.data),
    )
    validation, anchors = public
    for client, samples in zip(settings.clients, clients, strict=False):
        tell_overlap(overlap(samples, [*validation, *anchors]), f"client {client.id}")
        tell_leaks(overlap(samples, tests), f"client {client.id}")
    domains = sorted({sample.domain for sample in validation})
    all_of(
        lambda: check_packages(settings.evaluation),
        lambda: check_reporting(settings.training.report_to),
        lambda: _refuse_leaks([*validation, *anchors], tests, key="tests"),
        lambda: _refuse_leaks([*validation, *anchors], [question.sample for question in questions], key="choices"),
        lambda: domain_weights(domains, settings.scoring.domain_weights),
        lambda: check_modules(base, settings.lora, pattern=settings.scoring.modules),
        *(functools.partial(tokenize, part, base, data) for part in (validation, anchors, tests, *clients)),
        lambda: tokenize_options(questions, base, data),
    )


def _checked_client(client: ClientSettings, data: DataSettings) -> Sequence[Sample]:
    assert client.data is not None
    samples = read_private(client.data, data).samples
    if client.labels:
        read_labels(client.labels, [sample.id for sample in samples])
    return samples


def _refuse_leaks(public: Sequence[Sample], tests: Sequence[Sample], *, key: str) -> None:
    leaked = overlap(public, tests)
    if leaked:
        raise ConfigError(f"evaluation.{key}: {len(leaked)} of them stand in the public data too; remove them.")
