"""The simulation engine: Flower's own, with a SuperLink that is started for the run and stopped after it."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clues.collaboration.flower.processes import Child, free_port, listening, tool
from clues.collaboration.flower.runtime import Control
from clues.collaboration.flower.submitting import submit
from clues.errors import ConfigError, ProtocolError
from clues.io.files import write_toml
from clues.settings import RunSettings, SiloFile

_START = 60.0  # seconds


def simulate(settings: RunSettings, out: Path, *, silos: Sequence[SiloFile]) -> dict[str, Any]:
    """Run with clients in Ray's processes on this machine.

    Raises:
        ConfigError: Ray is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise ConfigError("engine.name: simulation needs Ray; install it by `pip install '.[simulation]'`.")
    files = []
    for silo in silos:
        files.append(Path(silo.folder, "silo.toml").absolute())
        write_toml(files[-1], silo.model_dump(mode="json"))
    port, home = free_port(), (out / "server" / "flower").absolute()
    address = ["--insecure", "--host", "127.0.0.1", "--port", str(port)]
    command = [tool("flower-superlink"), "--simulation", *address, "--disable-runtime-dependency-installation"]
    link = Child("the SuperLink", command, out / "server" / "superlink.log", environment={"FLWR_HOME": str(home)})
    link.start()
    try:
        await_port(link, port)
        return submit(settings, out, control=Control(f"127.0.0.1:{port}", None), silos=files)
    finally:
        link.stop()


def await_port(link: Child, port: int) -> None:
    """Raises ProtocolError if a server does not listen in time."""
    end = time.monotonic() + _START
    while not listening(port):
        if time.monotonic() > end or (link.process is not None and link.process.poll() is not None):
            raise ProtocolError(f"{link.name} did not start; its log: {link.log}")
        time.sleep(0.2)
