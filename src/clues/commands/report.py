"""`clues report`: the pages of a run or of a selection, written anew from what its folder holds."""

from __future__ import annotations

from pathlib import Path

from clues.commands.select import report_selection
from clues.errors import OutputError
from clues.io.files import read_json
from clues.report.card import write_cards
from clues.report.owner_page import OwnerData, write_owner_page
from clues.report.run_page import write_run_page
from clues.settings import RunSettings, read_toml, validated
from clues.silo.folder import THRESHOLD, open_folder
from clues.silo.marks import read_decisions
from clues.silo.review import reviewed
from clues.silo.scored import ANCHORS
from clues.silo.tables import ScoreTable


def report(folder: Path) -> list[Path]:
    """Write the pages of a folder of `clues run` or `clues select`, or of a client's folder of a job.

    Returns:
        Their paths, the coordinator's first.

    Raises:
        OutputError: the folder holds neither a finished run nor a selection.
    """
    if (folder / "metrics.json").is_file():
        return report_run(folder, validated(RunSettings, read_toml(folder / "config.toml")))
    if (folder / THRESHOLD).is_file():
        return [report_owner(folder)]
    if (folder / "selection.json").is_file():
        return [report_selection(folder)]
    raise OutputError(f"{folder}: holds neither metrics.json nor selection.json; give a folder of clues run or select.")


def report_run(folder: Path, settings: RunSettings) -> list[Path]:
    """Write the coordinator's page, a card for every adapter and, of clients on this machine, each owner's own page."""
    metrics, values = read_json(folder / "metrics.json"), settings.model_dump(mode="json")
    page = write_run_page(folder, metrics, values)
    write_cards(folder, metrics, values)
    clients = [folder / "clients" / client.id for client in settings.clients]
    return [page, *(report_owner(own) for own in clients if (own / THRESHOLD).is_file())]


def report_owner(folder: Path) -> Path:
    """Write the page of a client's folder of a job, by the threshold of its run and the owner's present decisions."""
    owner = open_folder(folder)
    selection = owner.by_score
    if owner.decisions.is_file():
        selection = reviewed(selection, read_decisions(owner.decisions, owner.ids))
    anchors = ScoreTable(folder / ANCHORS)
    data = OwnerData(
        name=selection.client, private=owner.private, public=owner.public, selection=selection, anchors=anchors
    )
    return write_owner_page(folder, data)
