"""The live view of a run in a terminal: clients × phases, with time left and the last loss."""

from __future__ import annotations

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text

from clues.io.events import PHASES, Board, Event


def live(board: Board, console: Console) -> Live:
    """A view that follows the board as long as its context is open, and is removed then."""
    return Live(_View(board), console=console, refresh_per_second=4, transient=True)


def board_table(board: Board) -> Table:
    """A row per client and a column per phase: a mark if it ended, how far it is if it has begun."""
    phases = [*PHASES, *dict.fromkeys(phase for client, phase in board.cells if client and phase not in PHASES)]
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in ("client", *phases, "loss"):
        table.add_column(column, justify="left" if column == "client" else "right", no_wrap=True)
    for client in board.clients:
        cells = [_cell(board.cells.get((client, phase))) for phase in phases]
        table.add_row(Text(client), *cells, f"{board.losses[client]:.3f}" if client in board.losses else "")
    return table


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class _View:
    """Draws the board anew whenever the terminal asks."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        server, last = self._board.of_server(), self._board.last
        lines = [Text(f"server: {server.phase} {progress(server)}")] if server and server.event != "end" else []
        if last and last.task:
            lines.append(Text(f"{last.task} {progress(last)}".strip(), style="dim"))
        yield Group(board_table(self._board), *lines)


def _cell(event: Event | None) -> Text:
    if event is None:
        return Text("·", style="dim")
    return Text("done", style="green") if event.event == "end" else Text(progress(event) or "…", style="yellow")


def progress(event: Event) -> str:
    """How far an event says that its phase is: `45%, 12 s left`."""
    if not event.total or event.done is None:
        return ""
    left = f", {duration(event.seconds_left)} left" if event.seconds_left is not None else ""
    return f"{event.done / event.total:.0%}{left}"
