"""What is under way, told as events: to a terminal, to a log, as JSON lines, and to the file `progress.jsonl` of a run.

In a terminal a run shows a live table, and a single task a bar with the remaining time. A log gets a line about the
current task at least every `INTERVAL` seconds: from the task itself where its items are short, and from `heartbeat`
where one takes longer.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from clues.errors import CluesError
from clues.io.events import Board, Event, Kind
from clues.io.live import duration, live, progress

T = TypeVar("T")
Mode = Literal["shown", "quiet", "json"]
INTERVAL = 20.0  # seconds
PACE = 1.0  # seconds between two events of a task
FILE = "progress.jsonl"
_WARNING = "Warning"
console = Console(stderr=True)


@dataclass
class Task:
    """A long-running task; `total` is None where the number of its items is unknown.

    `what`: its name, after that of who does it. `loss`: the last one of a training.
    """

    what: str
    total: int | None = None
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    begun: int = 0  # items done before it started
    bar: Callable[[], object] | None = None
    client: str = ""
    phase: str = ""
    loss: float | None = None
    told: float = field(default_factory=time.monotonic)  # when its last event was

    def advance(self, done: int, *, loss: float | None = None) -> None:
        """Set the number of items done."""
        self.done, self.loss = done, loss
        if self.bar:
            self.bar()
        elif not _live and time.monotonic() - _last_line >= INTERVAL:
            _print(self.line())
        if done == self.total or time.monotonic() - self.told >= PACE:
            self.tell()

    def tell(self) -> None:
        """Tell how far it is, as an event."""
        self.told = time.monotonic()
        facts = {"done": self.done, "total": self.total} if self.total is not None else {}
        _emit("progress", self.client, self.phase, task=self.what, loss=self.loss, seconds_left=self.left(), **facts)

    def left(self) -> float | None:
        """The seconds that the rest will take, if that can be told."""
        new = self.done - self.begun
        if self.total is None or new <= 0:
            return None
        return round((time.monotonic() - self.started) / new * (self.total - self.done), 1)

    def line(self) -> str:
        passed, left = time.monotonic() - self.started, self.left()
        if self.total is None:
            return f"{self.what}: {duration(passed)} so far"
        rest = f"{duration(passed)} so far" if left is None else f"{duration(left)} left"
        return f"{self.what}: {self.done}/{self.total}, {rest}" + (f", {self.last_loss}" if self.last_loss else "")

    @property
    def last_loss(self) -> str:
        return "" if self.loss is None else f"loss {self.loss:.3f}"


_tasks: list[Task] = []
_who: list[str] = []
_phases: list[str] = []
_listeners: list[Callable[[Event], object]] = []
_claimed: set[Path] = set()  # the folders of `watched` that belong to this run
_mode: Mode = "shown"
_live = False
_last_line = time.monotonic()


def say(line: str) -> None:
    """Print a line to stderr, as stdout is for results. Warnings are printed in the quiet mode, too."""
    _emit("note", ": ".join(_who), note=line)
    _print(line)


def hear(event: Event) -> None:
    """Pass on what another process tells of this run, such as the coordinator's side on a server."""
    for listener in list(_listeners):
        listener(event)
    if event.event == "note":
        _print(event.note)
    elif event.event == "progress" and not _live and time.monotonic() - _last_line >= INTERVAL:
        _print(f"{event.task}: {progress(event)}".removesuffix(": "))


def _write(event: Event) -> None:
    # In one piece, or what another thread prints could come before its end.
    print(event.line() + "\n", end="", flush=True)


def _print(line: str) -> None:
    global _last_line
    _last_line = time.monotonic()
    if _mode == "shown" or (_mode == "quiet" and line.startswith(_WARNING)):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def reporting(mode: Mode) -> Iterator[None]:
    """How progress is reported in the context: shown on stderr, not at all, or as JSON lines on stdout."""
    global _mode
    before, _mode = _mode, mode
    with ExitStack() as stack:
        if mode == "json":
            stack.enter_context(_listening(lambda event: None if console.quiet else _write(event)))
        try:
            yield
        finally:
            _mode = before


def reports_json() -> bool:
    return _mode == "json"


@contextmanager
def watched(folder: Path, *, clients: Sequence[str] = ()) -> Iterator[None]:
    """Record the events of the context in `folder`/progress.jsonl, and show a live table of `clients` in a terminal.

    Nothing is written before the folder is `claimed`.
    """
    board = Board()
    with ExitStack() as stack:
        stack.callback(_claimed.discard, folder.resolve())
        stack.enter_context(_listening(_Recorder(folder)))
        stack.enter_context(_listening(board.hear))
        _emit("start", clients=tuple(clients))
        if clients and _mode == "shown" and sys.stderr.isatty():
            stack.enter_context(_shown_live(board))
        try:
            yield
        except BaseException as error:
            # Other errors may quote data.
            _emit("error", note=str(error) if isinstance(error, CluesError) else type(error).__name__)
            raise
        _emit("finish")


def claimed(folder: Path) -> None:
    """From now on a folder belongs to this run."""
    _claimed.add(folder.resolve())


@contextmanager
def acting(who: str) -> Iterator[None]:
    """Put `who` in front of the name of every task that starts in the context."""
    _who.append(who)
    try:
        yield
    finally:
        _who.pop()


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Everything in the context belongs to this phase of whoever acts."""
    who = ": ".join(_who)
    _phases.append(name)
    _emit("begin", who, name)
    try:
        yield
    finally:
        _phases.pop()
    _emit("end", who, name)


@contextmanager
def task(what: str, total: int | None = None, *, done: int = 0) -> Iterator[Task]:
    """A task, shown as long as the context is open."""
    client = ": ".join(_who)
    name = ": ".join([*_who, what])
    current = Task(name, total, done, begun=done, client=client, phase=_phases[-1] if _phases else "")
    _tasks.append(current)
    try:
        if total is not None and _has_room_for_a_bar():
            with _bar() as shown:
                row = shown.add_task(current.what, total=total, completed=done, loss="")
                current.bar = lambda: shown.update(row, completed=current.done, loss=current.last_loss)
                yield current
        else:
            yield current
    finally:
        _tasks.remove(current)


def track(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Yield `items`, showing how many are done and the remaining time."""
    count = total if total is not None else (len(items) if isinstance(items, Sized) else None)
    with task(what, count) as current:
        for done, item in enumerate(items, start=1):
            yield item
            current.advance(done)


@contextmanager
def heartbeat() -> Iterator[None]:
    """While open, something is heard of the current task, however long one of its items takes."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(1):
            current = _tasks[-1] if _tasks else None
            if current and time.monotonic() - current.told >= INTERVAL:
                current.tell()
            if current and not sys.stderr.isatty() and time.monotonic() - _last_line >= INTERVAL:
                _print(current.line())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _emit(event: Kind, client: str = "", phase: str = "", **facts: object) -> None:
    if _listeners:
        told = Event(event=event, client=client, phase=phase, **facts)  # type: ignore[arg-type]
        for listener in list(_listeners):
            listener(told)


@contextmanager
def _listening(listener: Callable[[Event], object]) -> Iterator[None]:
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


class _Recorder:
    """Appends events to a run's file; not what clients note, nor warnings, as they may name samples."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._waiting: list[str] = []

    def __call__(self, event: Event) -> None:
        if event.event == "note" and (event.client or event.note.startswith(_WARNING)):
            return
        self._waiting.append(event.line() + "\n")
        if self._folder.resolve() in _claimed:
            with (self._folder / FILE).open("a", encoding="utf-8") as stream:
                stream.writelines(self._waiting)
            self._waiting.clear()


@contextmanager
def _shown_live(board: Board) -> Iterator[None]:
    global _live
    _live = True
    try:
        with live(board, console):
            yield
    finally:
        _live = False


def _has_room_for_a_bar() -> bool:
    return _mode == "shown" and sys.stderr.isatty() and not _live and not any(task.bar for task in _tasks)


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
        console=console,
        transient=True,
    )
