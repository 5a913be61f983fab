"""Handing a run to a SuperLink, and watching it to its end."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from clues.collaboration.flower.runtime import Control, Unreachable
from clues.errors import ConfigError, ProtocolError
from clues.io.events import Event
from clues.io.files import read_json, write_json
from clues.io.progress import hear, say
from clues.settings import RunSettings

FAILED = "failed.json"  # in the run's folder: why the coordinator's side ended
_RUN = "flower-run.json"  # in server/: the number of the run on the SuperLink
_LOG = "flower.log"  # in server/: what the coordinator's side has printed, beside its events
_PENDING = 120.0  # seconds that a run may wait for a process of the server
_POLL = 1.0  # seconds
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


def submit(settings: RunSettings, out: Path, *, control: Control, silos: Sequence[Path] = ()) -> dict[str, Any]:
    """Run on a SuperLink and return the content of metrics.json.

    A run that an earlier call started and that still goes on is watched, not started again. One whose process died
    is started again, as often as a client is asked again, and goes on with what clients have answered.

    Args:
        silos: the files of a simulation's clients.

    Raises:
        ProtocolError: the run failed, was stopped, or was never started; says why as far as it is known.
    """
    log = out / "server" / _LOG
    for attempt in range(settings.engine.attempts):
        run = _begun(settings, out, control=control, silos=silos)
        try:
            status, details = _watch(run, control, log)
        except KeyboardInterrupt:
            control.stop(run)
            raise
        if status == "finished:completed":
            metrics: dict[str, Any] = read_json(out / "metrics.json")
            return metrics
        if (out / FAILED).is_file():
            raise ProtocolError(f"{read_json(out / FAILED)['error']} The log of the run: {log}")
        ended = f"the run ended as {status.removeprefix('finished:')} ({details or 'no details'})"
        if status == "finished:stopped" or attempt + 1 == settings.engine.attempts:
            break
        say(f"{ended}; it is started again and goes on with what clients have answered.")
    raise ProtocolError(f"{ended}; run again to go on. The log of the run: {log}")


def deploy(settings: RunSettings, out: Path) -> dict[str, Any]:
    """Run with the clients of a server on this machine; returns the content of metrics.json."""
    engine = settings.engine
    if engine.address is None:
        raise ConfigError("engine.address: deployment needs host:port of the server; it says so when it starts.")
    return submit(settings, out, control=Control(engine.address, engine.root_certificates))


def _started(settings: RunSettings, out: Path, *, control: Control, silos: Sequence[Path]) -> int:
    """The app, whose folder `flwr run` takes too, is one file; settings are in another."""
    (out / FAILED).unlink(missing_ok=True)
    write_json(out / "server" / "settings.json", settings.model_dump(mode="json"))
    app = out / "server" / "app"
    app.mkdir(parents=True, exist_ok=True)
    (app / "pyproject.toml").write_text(tomli_w.dumps(_APP), encoding="utf-8")
    facts = {"out": str(out.absolute()), "silos": json.dumps([str(file) for file in silos])}
    (out / "server" / "run.toml").write_text(tomli_w.dumps(facts), encoding="utf-8")
    run = control.start(app, facts, simulated=len(silos))
    write_json(out / "server" / _RUN, {"run": run})
    return run


def _begun(settings: RunSettings, out: Path, *, control: Control, silos: Sequence[Path]) -> int:
    """The number of the run that goes on, or of a new one.

    Where one was begun before, a SuperLink that does not answer is waited for: what ended a part of the run may have
    ended the SuperLink as well, and a second run beside one that goes on would ask clients twice.
    """
    until = time.monotonic() + (settings.engine.wait if (out / "server" / _RUN).is_file() else 0)
    told = False
    while True:
        try:
            run = _going_on(control, out)
            return _started(settings, out, control=control, silos=silos) if run is None else run
        except Unreachable as error:
            if time.monotonic() >= until:
                raise
            if not told:
                say(f"{error} The run was begun before, so this command waits for it.")
            told = True
            time.sleep(_POLL)


def _going_on(control: Control, out: Path) -> int | None:
    """A run of this folder that was started before, if it has not ended."""
    file = out / "server" / _RUN
    if not file.is_file():
        return None
    run = int(read_json(file)["run"])
    try:
        ended = control.status(run)[0].startswith("finished")
    except Unreachable:
        raise
    except ProtocolError:  # it is not known there
        return None
    return None if ended else run


def _watch(run: int, control: Control, log: Path) -> tuple[str, str]:
    """(status, details) of a run when it has ended. Its events are told, and what else it prints goes to its log."""
    reader = threading.Thread(target=_read_log, args=(run, control, log), daemon=True)
    reader.start()
    pending = time.monotonic() + _PENDING
    while True:
        try:
            status, details = control.status(run)
        except ProtocolError:
            status = "unknown"  # the SuperLink may come back
        if status.startswith("finished"):
            reader.join(5)
            return status, details
        if status != "pending":
            pending = time.monotonic() + _PENDING
        elif time.monotonic() > pending:
            control.stop(run)
            raise ProtocolError(
                f"the server took the run but did not start it within {_PENDING:.0f} s; "
                "see whether its SuperExec runs, with `clues server doctor`."
            )
        time.sleep(_POLL)


def _read_log(run: int, control: Control, log: Path) -> None:
    after, rest = 0.0, ""
    log.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with contextlib.suppress(ProtocolError):
            for text, time_of in control.log(run, after):
                after = time_of
                *lines, rest = (rest + text).split("\n")  # a part may end within a line
                _tell(lines, log)
            break
        time.sleep(_POLL)
    _tell([rest] if rest else [], log)


def _tell(lines: Sequence[str], log: Path) -> None:
    """Pass events on, and write all other lines to the log."""
    with log.open("a", encoding="utf-8") as stream:
        for line in lines:
            event = Event.of(line)
            if event:
                hear(event)
            else:
                stream.write(line + "\n")
