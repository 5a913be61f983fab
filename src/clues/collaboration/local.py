"""A collaboration in one process: settings and data are checked first, then server and clients run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.collaboration.checking import check
from clues.collaboration.client import Client
from clues.collaboration.flower.simulation import simulate
from clues.collaboration.flower.submitting import deploy
from clues.collaboration.in_process import InProcess
from clues.collaboration.privacy.keys import public_text, read_key, write_key
from clues.collaboration.server import coordinate
from clues.io.run_folder import claim_folder, refuse_other_run, write_provenance
from clues.io.store import Store
from clues.settings import AllowSettings, ClientSettings, MaskSettings, RunSettings, SiloFile


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
