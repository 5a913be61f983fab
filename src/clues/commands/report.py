"""`clues report`: the pages of a run or of a selection, written anew from what its folder holds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clues.commands.score import report_selection
from clues.data.samples import read_private, read_public
from clues.errors import OutputError
from clues.io.files import read_json
from clues.report.card import write_cards
from clues.report.owner_page import OwnerData, write_owner_page
from clues.report.run_page import write_run_page
from clues.selection.threshold import Threshold
from clues.settings import RunSettings, read_toml, validated
from clues.silo.review import DECISIONS, read_decisions, reviewed
from clues.silo.selection import Selection
from clues.silo.silo import ANCHORS, SAMPLES
from clues.silo.tables import ScoreTable


def report(folder: Path) -> list[Path]:
    """Write the pages of a folder of `clues run` or `clues select`; returns their paths, the coordinator's first.

    Raises:
        OutputError: the folder holds neither a finished run nor a selection.
    """
    if (folder / "metrics.json").is_file():
        return report_run(folder, validated(RunSettings, read_toml(folder / "config.toml")))
    if (folder / "selection.json").is_file():
        return [report_selection(folder)]
    raise OutputError(f"{folder}: holds neither metrics.json nor selection.json; give a folder of clues run or select.")


def report_run(folder: Path, settings: RunSettings) -> list[Path]:
    """Write the coordinator's page, a card for every adapter and, of clients on this machine, each owner's own page."""
    metrics, values = read_json(folder / "metrics.json"), settings.model_dump(mode="json")
    page = write_run_page(folder, metrics, values)
    write_cards(folder, metrics, values)
    return [page, *_owners(folder, settings)]


def _owners(folder: Path, settings: RunSettings) -> Iterator[Path]:
    threshold = Threshold(**read_json(folder / "server" / "threshold.json"))
    public = read_public(validation=settings.validation, anchors=settings.anchors, data=settings.data)
    for client in settings.clients:
        own = folder / "clients" / client.id
        if client.data is None or not (own / "selection.json").is_file():
            continue
        table, decisions = ScoreTable(own / SAMPLES), own / DECISIONS
        selection = Selection(table, threshold, client.id, drop=settings.selection.drop)
        if decisions.is_file():
            selection = reviewed(selection, read_decisions(decisions, table.ids))
        private, anchors = read_private(client.data, settings.data), ScoreTable(own / ANCHORS)
        data = OwnerData(name=client.id, private=private, public=public, selection=selection, anchors=anchors)
        yield write_owner_page(own, data)
