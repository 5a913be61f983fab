"""`clues run`: a whole collaboration on this machine, and its page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.collaboration.local import collaborate
from clues.io.progress import watched
from clues.report.card import write_cards
from clues.report.pages import write_run_page
from clues.settings import RunSettings


def run(settings: RunSettings, out: Path) -> dict[str, Any]:
    """Run the protocol, write report.html and return what metrics.json holds; a killed run resumes.

    Raises:
        CluesError: settings or data are wrong (before anything heavy), or a client failed.
    """
    with watched(out, clients=[client.id for client in settings.clients]):
        metrics = collaborate(settings, out)
    write_run_page(out / "report.html", metrics, settings.model_dump(mode="json"))
    write_cards(out, metrics, settings.model_dump(mode="json"))
    return metrics
