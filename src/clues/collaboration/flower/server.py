"""The coordinator's server: a SuperLink with TLS and registered clients, and the process that runs their server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import tomli_w

from clues.collaboration.flower.keys import new_client_key, write_certificates, write_private
from clues.collaboration.flower.processes import Child, listening, supervise, tool, write_secret
from clues.collaboration.flower.runtime import SUPERLINK, Control
from clues.errors import OutputError, ProtocolError
from clues.io.files import read_json, write_json
from clues.io.progress import say

_FACTS = "server.json"  # in the server's folder: its address


def start(folder: Path, *, host: str, port: int, names: Sequence[str]) -> None:
    """Serve until stopped.

    Args:
        folder: certificates, state and logs. names: host names and addresses by which clients reach the server.

    Raises:
        ProtocolError: the port is taken.
    """
    folder = folder.absolute()
    if listening(port, "127.0.0.1" if host == "0.0.0.0" else host):
        raise ProtocolError(f"port {port} is taken; stop what listens there, or choose another by --port.")
    known = dict.fromkeys([*names, "localhost", "127.0.0.1"])
    write_certificates(folder, list(known))
    local = f"127.0.0.1:{port}" if host == "0.0.0.0" else f"{host}:{port}"
    write_json(folder / _FACTS, {"address": f"{names[0] if names else host}:{port}", "local": local})
    say(f"Serving at {local}. Register clients by `clues server add-client ID --folder {folder}`; Ctrl-C ends.")
    supervise(children(folder, host=host, port=port, local=local))


def children(folder: Path, *, host: str, port: int, local: str) -> list[Child]:
    """The SuperLink, whose state survives a restart, and the SuperExec, which starts the coordinator's side of runs."""
    secret = folder / "superexec.secret"
    if not secret.is_file():
        write_secret(secret)
    environment = {"FLWR_HOME": str(folder / "flower")}
    link = [
        *(sys.executable, "-P", "-c", SUPERLINK),  # -P: imports nothing from the folder that it is started in
        *("--ssl-ca-certfile", str(folder / "ca.crt"), "--ssl-certfile", str(folder / "server.crt")),
        *("--ssl-keyfile", str(folder / "server.key"), "--enable-supernode-auth"),
        *("--host", host, "--port", str(port), "--database", str(folder / "state.db"), "--isolation", "process"),
        *("--superexec-auth-secret-file", str(secret), "--disable-runtime-dependency-installation"),
    ]
    executor = [
        tool("flower-superexec"),
        *("--root-certificates", str(folder / "ca.crt"), "--runtime-api-address", local),
        *("--superexec-auth-secret-file", str(secret)),
    ]
    logs = folder / "logs"
    return [
        Child("the SuperLink", link, logs / "superlink.log", environment),
        Child("the SuperExec", executor, logs / "superexec.log", environment),
    ]


def add_client(folder: Path, client: str, *, address: str | None = None) -> Path:
    """Register a client, and write the one file to hand over to it.

    Args:
        address: host:port by which this client reaches the server; default: the server's.

    Raises:
        ProtocolError: the server does not run.
        OutputError: the client has a file already.
    """
    facts = server_facts(folder)
    file = folder / "clients" / f"{client}.toml"
    if file.is_file():
        raise OutputError(f"{file}: exists; {client} is registered. Remove the file to give it a new key.")
    private, public = new_client_key()
    _control(folder).register(public, client)
    text = {
        "id": client,
        "data": "data.jsonl",
        "folder": f"clues-{client}",
        "server": {
            "address": address or facts["address"],
            "root_certificates": (folder / "ca.crt").read_text(encoding="utf-8"),
            "key": private,
        },
    }
    write_private(file, _HEAD.encode() + tomli_w.dumps(text, multiline_strings=True).encode())
    return file


_HEAD = """\
# Everything that a client needs. It holds the client's private key: send it in a safe way, and keep it to yourself.
# Set `data` to your file, then: clues client start THIS-FILE
"""


def doctor(folder: Path) -> list[str]:
    """What is wrong with a server, a sentence each; nothing if it runs."""
    facts, wrong = server_facts(folder), []
    host, _, port = facts["local"].rpartition(":")
    if not listening(int(port), host):
        return [f"nobody listens at {facts['local']}; run `clues server start --folder {folder}`."]
    try:
        nodes = _control(folder).nodes()
    except ProtocolError as error:
        return [str(error)]
    known = {path.stem for path in (folder / "clients").glob("*.toml")}
    online = {name for name, status in nodes.items() if status == "online"}
    for client in sorted(known - nodes.keys()):
        wrong.append(f"{client}: has a file but is not registered; remove {client}.toml and add it again.")
    for client in sorted(nodes.keys() - online):
        wrong.append(f"{client}: is registered but not online; start it there by `clues client start`.")
    return wrong


def _control(folder: Path) -> Control:
    return Control(server_facts(folder)["local"], str(folder / "ca.crt"))


def server_facts(folder: Path) -> dict[str, str]:
    """Raises ProtocolError if the folder is not a server's."""
    if not (folder / _FACTS).is_file():
        raise ProtocolError(f"{folder}: is no server's folder; run `clues server start --folder {folder}` first.")
    facts: dict[str, str] = read_json(folder / _FACTS)
    return facts
