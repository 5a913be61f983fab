"""`python -m clues.commands.worker SILO.toml ADDRESS SECRET`: the process of the resident worker."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from flwr.app import Message

from clues.collaboration.flower.apps import answered
from clues.collaboration.flower.runtime import serve
from clues.collaboration.flower.silo import WRONG
from clues.collaboration.resident import Resident, examined
from clues.commands.report import report_owner
from clues.errors import CluesError
from clues.io.progress import heartbeat, say
from clues.settings import read_silo
from clues.silo.folder import THRESHOLD

_QUIET = 10.0  # seconds without a question, after which the owner's page is written; a run's quick rounds are faster


@dataclass
class Worker:
    """Answers questions and, while there are none, writes the owner's page of the latest job."""

    resident: Resident
    log: Callable[[str], object]
    _due: float | None = None

    def answer(self, message: Message) -> Message:
        try:
            return answered(message, self.resident)
        finally:
            self._due = time.monotonic() + _QUIET

    def idle(self) -> None:
        """Write the page, once after each answer. What goes wrong with it is logged, and stops nothing."""
        if self._due is None or time.monotonic() < self._due:
            return
        self._due, folder = None, self.resident.folder
        if folder is None or not (folder / THRESHOLD).is_file():
            return
        try:
            self.log(f"the owner's page: {report_owner(folder)}")
        except Exception as error:
            self.log(f"no page ({type(error).__name__}: {error}); `clues report {folder}` writes it.")


def main(file: Path, address: str, secret: Path) -> None:
    def log(line: str) -> None:
        say(f"{time.strftime('%H:%M:%S')} {line}")

    own = read_silo(file)
    for line in examined(own):
        log(line)
    worker = Worker(Resident(own), log)
    with heartbeat():
        serve(address, secret, worker.answer, log=log, idle=worker.idle)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    except CluesError as error:
        sys.exit(f"{WRONG}{error}")
