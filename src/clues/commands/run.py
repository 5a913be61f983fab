"""`clues run`: a whole collaboration on this machine, and its pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.collaboration.local import collaborate
from clues.commands.report import report_run
from clues.io.progress import watched
from clues.settings import RunSettings


def run(settings: RunSettings, out: Path) -> dict[str, Any]:
    """Run the protocol, write the reports and return what metrics.json holds; a killed run resumes.

    Raises:
        CluesError: settings or data are wrong (before anything heavy), or a client failed.
    """
    with watched(out, clients=[client.id for client in settings.clients]):
        metrics = collaborate(settings, out)
    report_run(out, settings)
    return metrics
