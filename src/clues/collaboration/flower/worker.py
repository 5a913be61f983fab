"""`python -m clues.collaboration.flower.worker SILO.toml ADDRESS SECRET`: the process of the resident worker."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from clues.collaboration.flower.apps import answered
from clues.collaboration.flower.runtime import serve
from clues.collaboration.resident import Resident, read_silo
from clues.io.progress import heartbeat, say


def main(file: Path, address: str, secret: Path) -> None:
    resident = Resident(read_silo(file))

    def log(line: str) -> None:
        say(f"{time.strftime('%H:%M:%S')} {line}")

    with heartbeat():
        serve(address, secret, lambda message: answered(message, resident), log=log)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
