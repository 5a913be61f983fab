"""`python -m clues.collaboration.flower.worker SILO.toml ADDRESS SECRET`: the process of the resident worker."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from clues.collaboration.flower.apps import answered
from clues.collaboration.flower.runtime import serve
from clues.collaboration.flower.silo import WRONG
from clues.collaboration.resident import Resident, examined
from clues.errors import CluesError
from clues.io.progress import heartbeat, say
from clues.settings import read_silo


def main(file: Path, address: str, secret: Path) -> None:
    def log(line: str) -> None:
        say(f"{time.strftime('%H:%M:%S')} {line}")

    own = read_silo(file)
    for line in examined(own):
        log(line)
    resident = Resident(own)
    with heartbeat():
        serve(address, secret, lambda message: answered(message, resident), log=log)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    except CluesError as error:
        sys.exit(f"{WRONG}{error}")
