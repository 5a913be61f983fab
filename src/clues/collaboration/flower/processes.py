"""Child processes: started with a log, watched, started again when they end, and stopped by their own id."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clues.collaboration.flower.keys import write_private
from clues.errors import ProtocolError
from clues.io.progress import say

# No telemetry, no look for updates, no package that a bundle asks for, no warnings of libraries for developers.
QUIET = {
    "PYTHONWARNINGS": "ignore",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_PATIENCE = 10.0  # seconds that a child has to end


# Runs what follows, and has Linux end it with the process that started it, even if that was killed.
_BOUND = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.argv[2], sys.argv[2:])
"""


_TOOLS = sysconfig.get_path("scripts")


def tool(name: str) -> str:
    """The path of a command that is installed beside this Python."""
    return str(Path(_TOOLS, name))


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listening(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as sock:
        sock.settimeout(1)
        return sock.connect_ex((host, port)) == 0


def write_secret(path: Path) -> Path:
    """A new secret in a file that only its owner reads."""
    return write_private(path, secrets.token_hex(32).encode())


@dataclass
class Child:
    """A process of ours.

    `back_off`: seconds until it is started again, by how often it has ended in a row. `explain`: a sentence for a
    person from the end of its log and how often it ended, where starting it again would not help.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    back_off: Callable[[int], float] = lambda times: min(60.0, 2.0**times)
    explain: Callable[[str, int], str | None] = lambda text, ended: None
    process: subprocess.Popen[bytes] | None = None
    ended: int = 0
    _again: float = 0.0
    _started: float = 0.0
    _read: int = 0  # bytes of the log, from earlier starts

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._read = self.log.stat().st_size if self.log.is_file() else 0
        path = {
            "PATH": os.pathsep.join([_TOOLS, os.environ.get("PATH", "")])
        }  # Flower's tools start each other by name
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _BOUND, str(os.getpid()), *self.command],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **QUIET, **path, **self.environment},
                start_new_session=True,  # Ctrl-C reaches the supervisor only, which stops its children in order
            )
        self._started = time.monotonic()

    def watch(self) -> None:
        """Start it again if it has ended, after a while.

        Raises:
            ProtocolError: it ended for a reason that a person has to remove.
        """
        if self.process is None:
            if time.monotonic() >= self._again:
                self.start()
            return
        code = self.process.poll()
        if code is None:
            if time.monotonic() - self._started > 120:
                self.ended = 0
            return
        reason = self.explain(self.tail(), self.ended)
        if reason:
            raise ProtocolError(f"{self.name}: {reason}")
        wait = self.back_off(self.ended)
        self.process, self.ended, self._again = None, self.ended + 1, time.monotonic() + wait
        say(f"{self.name} ended (code {code}); it is started again in {wait:.0f} s. Its log: {self.log}")

    def tail(self, size: int = 8000) -> str:
        """The end of what it has printed since its start."""
        return self.log.read_bytes()[self._read :][-size:].decode(errors="replace") if self.log.is_file() else ""

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def supervise(children: Sequence[Child], *, until: Callable[[], bool] = lambda: False) -> None:
    """Keep children running until this process is asked to stop; then stop them, the last one first."""
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        for child in children:
            child.start()
        while not until():
            for child in children:
                child.watch()
            time.sleep(0.3)
    except KeyboardInterrupt:
        pass
    finally:
        for child in reversed(children):
            child.stop()
        signal.signal(signal.SIGTERM, previous)
