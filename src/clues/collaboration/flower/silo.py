"""A data owner's end of a deployment: a SuperNode and the resident worker, under one supervisor."""

from __future__ import annotations

import sys
from pathlib import Path

from clues.collaboration.flower.keys import write_private
from clues.collaboration.flower.processes import Child, free_port, supervise, write_secret
from clues.collaboration.flower.runtime import SUPERNODE
from clues.errors import ConfigError
from clues.io.progress import say
from clues.settings import SiloFile

# A SuperNode that was killed counts as online for up to a minute, and a second one with its key is refused until then.
_NOT_ACTIVATED, _MINUTE = "code: 2004", 65.0
WRONG = "clues: "  # in front of what is wrong with the owner's data or model
_REASONS = {
    "CERTIFICATE_VERIFY_FAILED": "server.root_certificates did not sign the server's certificate; name the right file.",
    "Name or service not known": "server.address is not a known host; correct it.",
}


def start(own: SiloFile, file: Path) -> None:
    """Take part in the runs of a SuperLink until stopped.

    Args:
        file: the owner's settings, which the worker reads again.

    Raises:
        ConfigError: the settings name no server.
        ProtocolError: the SuperLink cannot be reached, or does not know this client.
    """
    if own.server is None:
        raise ConfigError(f"{file}: has no table server; write [server] with address, root_certificates and key.")
    folder = Path(own.folder)
    secret, port = write_secret(folder / "runtime.secret"), free_port()
    say(f"{own.id} takes part in the runs of {own.server.address}. Its logs are in {folder / 'logs'}; Ctrl-C ends.")
    supervise([_node(own, port, secret), worker(file, port, secret, folder / "logs")])


def worker(file: Path, port: int, secret: Path, logs: Path) -> Child:
    """The resident worker as a process, so that the supervisor survives what kills it."""
    command = [sys.executable, "-m", "clues.commands.worker", str(file), f"127.0.0.1:{port}", str(secret)]
    return Child("the worker", command, logs / "worker.log", explain=_wrong)


def _wrong(text: str, ended: int) -> str | None:
    """What the owner has to correct, which the worker has printed last."""
    _, found, sentence = text.rpartition(WRONG)
    return sentence.strip() if found else None


def _node(own: SiloFile, port: int, secret: Path) -> Child:
    assert own.server is not None
    certificates, key = (_file(own, getattr(own.server, name), name) for name in ("root_certificates", "key"))
    trust = ["--root-certificates", certificates] if certificates else ["--insecure"]
    trust += ["--auth-supernode-private-key", key] if key else []
    command = [
        *(sys.executable, "-P", "-c", SUPERNODE),  # -P: imports nothing from the folder that it is started in
        *trust,
        *("--superlink", own.server.address),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--isolation", "process", "--superexec-auth-secret-file", str(secret)),
    ]
    folder = Path(own.folder)
    return Child(
        "the node",
        command,
        folder / "logs" / "node.log",
        environment={"FLWR_HOME": str(folder / "flower")},
        back_off=lambda times: _MINUTE if times else 2.0,
        explain=_explained,
    )


def _file(own: SiloFile, value: str | None, name: str) -> str | None:
    """A file with what the settings hold: its text, or its path."""
    if value is None or not value.startswith("-----BEGIN"):
        return value
    return str(write_private(Path(own.folder, "keys", f"{name}.pem"), value.encode()))


def _explained(text: str, ended: int) -> str | None:
    if _NOT_ACTIVATED in text and ended > 1:
        return "the server does not know server.key, or another process uses it; ask its coordinator, or stop that one."
    return next((sentence for sign, sentence in _REASONS.items() if sign in text), None)
