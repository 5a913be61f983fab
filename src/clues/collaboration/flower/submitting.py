"""Handing a run to a SuperLink, and watching it to its end."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from clues.collaboration.flower.apps import FAILED
from clues.collaboration.flower.processes import QUIET, tool
from clues.errors import ConfigError, ProtocolError
from clues.io.files import read_json, write_json
from clues.settings import RunSettings

_PENDING = 120.0  # seconds that a run may wait for a process of the server
_POLL = 2.0  # seconds
_APP: dict[str, Any] = {
    "project": {
        "name": "clues-app",
        "version": "1.0.0",
        "description": "Names the apps of the installed package clues; holds no code.",
        "license": "MIT",
        "dependencies": [],
    },
    "tool": {
        "flwr": {
            "app": {
                "publisher": "clues",
                "components": {
                    "serverapp": "clues.collaboration.flower.apps:server",
                    "clientapp": "clues.collaboration.flower.apps:client",
                },
                "config": {"out": "", "silos": "[]"},
            }
        }
    },
}


def submit(
    settings: RunSettings, out: Path, *, home: Path, options: Sequence[str] = (), silos: Sequence[Path] = ()
) -> dict[str, Any]:
    """Run on a SuperLink and return the content of metrics.json.

    Args:
        home: Flower's folder with the SuperLink's address. options: of `flwr run`.
        silos: the files of a simulation's clients.

    Raises:
        ProtocolError: the run failed, was stopped, or was never started; says why as far as it is known.
    """
    (out / FAILED).unlink(missing_ok=True)
    write_json(out / "server" / "settings.json", settings.model_dump(mode="json"))
    app, config = out / "server" / "app", out / "server" / "run.toml"
    app.mkdir(parents=True, exist_ok=True)
    (app / "pyproject.toml").write_text(tomli_w.dumps(_APP), encoding="utf-8")
    facts = {"out": str(out.absolute()), "silos": json.dumps([str(file) for file in silos])}
    config.write_text(tomli_w.dumps(facts), encoding="utf-8")
    given = flwr("run", str(app), SUPERLINK, "--run-config", str(config), "--format", "json", *options, home=home)
    _watch(str(_json(given)["run-id"]), out, home=home)
    metrics: dict[str, Any] = read_json(out / "metrics.json")
    return metrics


def deploy(settings: RunSettings, out: Path) -> dict[str, Any]:
    """Run with the clients of a server on this machine; returns the content of metrics.json."""
    engine = settings.engine
    if engine.address is None:
        raise ConfigError("engine.address: deployment needs host:port of the server; it says so when it starts.")
    home = write_home(out / "server" / "flower", address=engine.address, certificate=engine.root_certificates)
    return submit(settings, out, home=home)


SUPERLINK = "clues"  # the name of the connection in Flower's configuration


def write_home(home: Path, *, address: str, certificate: str | None) -> Path:
    """Flower's folder, which names the SuperLink."""
    trust = {"root-certificates": certificate} if certificate else {"insecure": True}
    home.mkdir(parents=True, exist_ok=True)
    tree = {"superlink": {"default": SUPERLINK, SUPERLINK: {"address": address, **trust}}}
    (home / "config.toml").write_text(tomli_w.dumps(tree), encoding="utf-8")
    return home


def _watch(run: str, out: Path, *, home: Path) -> None:
    """Follow the run's log until the run has ended. `flwr run` itself exits with 0 whatever happens."""
    pending = time.monotonic() + _PENDING
    with _following(run, home):
        while True:
            status, details = _status(run, home)
            if status.startswith("finished"):
                break
            if status == "pending" and time.monotonic() > pending:
                flwr("stop", run, SUPERLINK, home=home)
                raise ProtocolError(
                    f"the server took the run but did not start it within {_PENDING:.0f} s; "
                    "see whether its SuperExec runs, with `clues server doctor`."
                )
            time.sleep(_POLL)
    if (out / FAILED).is_file():
        raise ProtocolError(str(read_json(out / FAILED)["error"]))
    if status != "finished:completed":
        raise ProtocolError(f"the run ended as {status.removeprefix('finished:')} ({details}); run again to go on.")


def _status(run: str, home: Path) -> tuple[str, str]:
    """(status, details); a server that cannot be asked just now counts as running."""
    try:
        row = _json(flwr("list", SUPERLINK, "--run-id", run, "--format", "json", home=home))["runs"][0]
    except (ProtocolError, LookupError):
        return "unknown", ""
    return str(row["status"]), str(row.get("status-details") or "no details")


class _following:
    """`flwr log` as a child process that writes to our stderr."""

    def __init__(self, run: str, home: Path) -> None:
        self._command, self._home = [tool("flwr"), "log", run, SUPERLINK, "--stream"], home

    def __enter__(self) -> None:
        self._child = subprocess.Popen(
            self._command, stdout=2, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=_environment(self._home)
        )

    def __exit__(self, *_: object) -> None:
        self._child.terminate()
        self._child.wait()


def flwr(*arguments: str, home: Path) -> str:
    """What a command of Flower prints. Raises ProtocolError if it fails."""
    done = subprocess.run(
        [tool("flwr"), *arguments], capture_output=True, text=True, env=_environment(home), timeout=120, check=False
    )
    if done.returncode:
        lines = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()
        raise ProtocolError(f"engine: the SuperLink refuses `flwr {arguments[0]}` ({lines[-1].strip()}).")
    return done.stdout


def registered(home: Path) -> dict[str, str]:
    """The status of every registered client, by name."""
    nodes = _json(flwr("supernode", "list", SUPERLINK, "--format", "json", home=home))["nodes"]
    return {str(node.get("name") or node["node-id"]): str(node["status"]) for node in nodes}


def _json(text: str) -> Any:
    return json.loads(text[text.index("{") :])


def _environment(home: Path) -> Mapping[str, str]:
    return {**os.environ, **QUIET, "FLWR_HOME": str(home.absolute())}
