"""`clues status`: how far a run is, from what it has written so far."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clues.errors import OutputError
from clues.io.events import Board, Event
from clues.io.live import duration, progress
from clues.io.progress import FILE, INTERVAL
from clues.settings import read_toml

_SILENT = 3 * INTERVAL  # seconds without an event after which a run counts as stopped
# By phase: what a client's folder holds once it has ended.
_LEFT_BY = {"trajectory": "trajectory", "scoring": "scores.parquet", "selection": "selection.json"}


@dataclass(frozen=True)
class Status:
    """`facts`: by title, what is known of the whole. `board`: where each client stands."""

    facts: dict[str, str]
    board: Board

    def as_dict(self) -> dict[str, Any]:
        """What `clues status --json` prints."""
        clients: dict[str, dict[str, str]] = {client: {} for client in self.board.clients}
        for (client, phase), event in self.board.cells.items():
            clients.setdefault(client, {})[phase] = "done" if event.event == "end" else progress(event) or "begun"
        return {**self.facts, "clients": clients, "losses": self.board.losses}


def status(folder: Path) -> Status:
    """The state of a run, which may be under way in another process.

    Args:
        folder: one that `clues run`, `clues score` or `clues train` writes.

    Raises:
        OutputError: the folder holds no run.
    """
    if not (folder / "config.toml").is_file():
        raise OutputError(f"{folder}: holds no run (yet); name the folder that clues run, score or train writes.")
    config, file = read_toml(folder / "config.toml"), folder / FILE
    board = Board.of(file.read_text(encoding="utf-8").splitlines() if file.is_file() else [])
    known = [client["id"] for client in config.get("clients", [])]
    board.clients = list(dict.fromkeys([*known, *board.clients]))
    for client in known or [""]:
        _add_what_is_left(board, client, folder / "clients" / client if client else folder)
    facts = {"state": _state(folder, board)}
    if config.get("engine", {}).get("name") == "deployment":
        facts["clients"] = f"{', '.join(known)}, each on its own machine, where its phases are shown"
    if board.last and board.last.task and not board.finished:
        facts["now"] = f"{board.last.task} {progress(board.last)}".strip()
    rounds = [note for note in board.notes if note.startswith("Round ")]
    facts |= {"rounds": rounds[-1]} if rounds else {}
    facts |= {"last error": board.error} if board.error else {}
    logs = [str(log) for log in sorted(folder.glob("clients/*/errors.log"))]
    return Status(facts | ({"errors of clients": ", ".join(logs)} if logs else {}), board)


def _add_what_is_left(board: Board, client: str, folder: Path) -> None:
    """Phases that the board does not know, by their files: of a run that was not watched, or of another machine."""
    for phase, name in _LEFT_BY.items():
        if (folder / name).exists() and (client, phase) not in board.cells:
            board.cells[client, phase] = Event(event="end", client=client, phase=phase)


def _state(folder: Path, board: Board) -> str:
    if board.last is None:
        done = (folder / "metrics.json").is_file() or (folder / "adapter").is_dir()
        return "finished" if done else "unknown: it was not recorded; the phases below are those that left files"
    ago = (datetime.now(UTC) - datetime.fromisoformat(board.last.time)).total_seconds()
    if board.finished:
        return f"finished {duration(ago)} ago"
    if board.error:
        return f"failed {duration(ago)} ago; run the same command again to continue"
    if ago > _SILENT:
        return f"stopped, as nothing was heard for {duration(ago)}; run the same command again to continue"
    return f"under way, last heard {duration(ago)} ago"
