"""The two apps that Flower runs: `server` at the coordinator, `client` at each data owner."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

from clues.collaboration.flower.channel import FlowerChannel
from clues.collaboration.flower.records import reply_to, unpacked
from clues.collaboration.flower.submitting import FAILED
from clues.collaboration.protocol import QUESTIONS, Content, Failure
from clues.collaboration.resident import Resident
from clues.collaboration.server import coordinate
from clues.errors import CluesError
from clues.io.files import read_json, write_json
from clues.io.progress import heartbeat, reporting
from clues.io.store import Store
from clues.settings import RunSettings, read_silo

server = ServerApp()
client = ClientApp()


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Run one collaboration. `run_config` names the run's folder, whose `server/settings.json` holds the settings.

    It prints events, which whoever watches the run tells from what Flower prints.
    """
    out = Path(str(context.run_config["out"]))
    settings = RunSettings.model_validate(read_json(out / "server" / "settings.json"))
    store = Store(out / "server" / "store")
    channel = FlowerChannel(grid, settings.engine)
    try:
        with reporting("json"), heartbeat():
            coordinate(channel, settings, out=out, store=store, remember=True)
    except CluesError as error:
        write_json(out / FAILED, {"error": str(error)})
        raise


def answered(message: Message, resident: Resident) -> Message:
    """A data owner's reply to a message. No text of an error of its own leaves it."""
    _, _, kind = message.metadata.message_type.partition(".")
    try:
        content = unpacked(message.content)
    except Exception:  # whatever arrived
        answer: Content | Failure = Failure("the message is not one of the protocol")
    else:
        answer = resident.answer(kind, content.facts, content.arrays)
    return reply_to(message, answer)


@functools.cache
def _resident(file: str) -> Resident:
    return Resident(read_silo(Path(file)))


def _of(context: Context) -> Resident:
    """The data owner of this process: the node's own file or, in a simulation, that of its partition."""
    config = context.node_config
    if "silo" in config:
        return _resident(str(config["silo"]))
    files = json.loads(str(context.run_config["silos"]))
    return _resident(str(files[int(str(config["partition-id"]))]))


def _reply(message: Message, context: Context) -> Message:
    return answered(message, _of(context))


for _kind in QUESTIONS:
    client.query(_kind)(_reply)

os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
