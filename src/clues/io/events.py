"""What happens in a run: events, which a JSON line holds, and the board of clients × phases that they add up to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

Kind = Literal["start", "begin", "progress", "end", "note", "error", "finish"]
PHASES = ("checking", "trajectory", "scoring", "selection", "training")  # of a client, in their order
_ALWAYS = ("time", "event", "client", "phase", "done", "total", "loss", "seconds_left")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event. `start` and `finish` are those of the whole, `begin` and `end` those of a phase of a client.

    `client`: empty for the server or a single owner. `task`: what exactly is under way. `note`: a sentence, of an error
    too. `clients`: of a start, the clients to expect. A part that has no meaning is None or empty.
    """

    event: Kind
    client: str = ""
    phase: str = ""
    task: str = ""
    done: int | None = None
    total: int | None = None
    loss: float | None = None
    seconds_left: float | None = None
    note: str = ""
    clients: tuple[str, ...] = ()
    time: str = field(default_factory=_now)

    def line(self) -> str:
        """The event as a JSON object in one line."""
        facts = asdict(self)
        return json.dumps({key: facts[key] for key in facts if key in _ALWAYS or facts[key]}, ensure_ascii=False)

    @classmethod
    def of(cls, line: str) -> Event | None:
        """The event of a line; None for a line that is broken, as the last one of a killed run may be."""
        try:
            facts: dict[str, Any] = json.loads(line)
            return cls(**facts | {"clients": tuple(facts.get("clients", ()))})
        except (ValueError, TypeError, AttributeError):
            return None


@dataclass
class Board:
    """Where each client stands: by client and phase its last event, the last loss, the last notes."""

    clients: list[str] = field(default_factory=list)
    cells: dict[tuple[str, str], Event] = field(default_factory=dict)
    losses: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    last: Event | None = None
    error: str = ""
    finished: bool = False

    @classmethod
    def of(cls, lines: Iterable[str]) -> Board:
        board = cls()
        for line in lines:
            event = Event.of(line)
            if event:
                board.hear(event)
        return board

    def hear(self, event: Event) -> None:
        """Take in an event; a start forgets what an earlier attempt has left."""
        if event.event == "start":
            vars(self).update(vars(Board(clients=list(event.clients))))
        self.last = event
        if event.event == "note":
            self.notes.append(event.note)
        elif event.event == "error":
            self.error = event.note
        elif event.event == "finish":
            self.finished = True
        elif event.phase:
            if event.client and event.client not in self.clients:
                self.clients.append(event.client)
            self.cells[event.client, event.phase] = event
        if event.loss is not None:
            self.losses[event.client] = event.loss

    def ended(self, client: str, phase: str) -> bool:
        event = self.cells.get((client, phase))
        return event is not None and event.event == "end"

    def of_server(self) -> Event | None:
        """The last event of what no client does, such as merging and evaluation."""
        return next((event for (client, _), event in reversed(self.cells.items()) if not client), None)
