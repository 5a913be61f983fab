"""The progress display: a bar with the remaining time in a terminal, plain lines in a log.

A log gets a line about the current task at least every `INTERVAL` seconds: from the task itself where its items are
short, and from `heartbeat` where one takes longer.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
INTERVAL = 20.0  # seconds
console = Console(stderr=True)


@dataclass
class Task:
    """A long-running task; `total` is None where the number of its items is unknown."""

    what: str
    total: int | None = None
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    begun: int = 0  # items done before it started
    bar: Callable[[int], object] | None = None

    def advance(self, done: int) -> None:
        """Set the number of items done."""
        self.done = done
        if self.bar:
            self.bar(done)
        elif time.monotonic() - _last_line >= INTERVAL:
            say(self.line())

    def line(self) -> str:
        passed = time.monotonic() - self.started
        if self.total is None:
            return f"{self.what}: {_duration(passed)} so far"
        new = self.done - self.begun
        left = _duration(passed / new * (self.total - self.done)) + " left" if new else f"{_duration(passed)} so far"
        return f"{self.what}: {self.done}/{self.total}, {left}"


_tasks: list[Task] = []
_who: list[str] = []
_last_line = time.monotonic()


def say(line: str) -> None:
    """Print a line to stderr, as stdout is for results."""
    global _last_line
    _last_line = time.monotonic()
    console.print(line, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def acting(who: str) -> Iterator[None]:
    """Put `who` in front of the name of every task that starts in the context."""
    _who.append(who)
    try:
        yield
    finally:
        _who.pop()


@contextmanager
def task(what: str, total: int | None = None, *, done: int = 0) -> Iterator[Task]:
    """A task, shown as long as the context is open."""
    current = Task(": ".join([*_who, what]), total, done, begun=done)
    _tasks.append(current)
    try:
        if sys.stderr.isatty() and total is not None and not any(other.bar for other in _tasks):
            with _bar() as progress:
                row = progress.add_task(current.what, total=total, completed=done)
                current.bar = lambda done: progress.update(row, completed=done)
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
    """While open, a log gets lines about the current task, however long one of its items takes."""
    if sys.stderr.isatty():
        yield
        return
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(1):
            if _tasks and time.monotonic() - _last_line >= INTERVAL:
                say(_tasks[-1].line())

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
