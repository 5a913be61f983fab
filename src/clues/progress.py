"""One progress display: a bar with the time left in a terminal, plain lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

T = TypeVar("T")
console = Console(stderr=True)


def say(line: str) -> None:
    """A line for the person who watches; goes to stderr, so that stdout stays for results."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def bar() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def track(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yield `items`, showing how many are done and how long the rest takes."""
    count = total if total is not None else (len(items) if isinstance(items, Sized) else None)
    if sys.stderr.isatty():
        with bar() as progress:
            task = progress.add_task(what, total=count)
            for item in items:
                yield item
                progress.advance(task)
        return
    started, told = time.monotonic(), time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - told >= 30:
            told = time.monotonic()
            left = f", {(told - started) / done * (count - done):.0f} s left" if count else ""
            say(f"{what}: {done}/{count or '?'}{left}")
