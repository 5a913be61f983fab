"""Several processes of one silo, as `accelerate launch` or `torchrun` starts them: batches are shared out among them.

Whatever must be done once (training, writing) the main process does while the others wait, so that all see the
same files: they share a disk. In one process, the usual case, nothing here does anything.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from clues.io.progress import console

T = TypeVar("T")
R = TypeVar("R")

_LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")  # how a launcher tells a process its place


def process_count() -> int:
    """How many processes were launched together; no library is loaded to find out."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in _LAUNCHED[:3]) else 1


def is_main_process() -> bool:
    return process_count() == 1 or bool(process_state().is_main_process)


def process_state() -> Any:
    """accelerate's PartialState: the process group, joined on the first call, and the device of this process."""
    import torch
    from accelerate import PartialState

    cpu = not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    # The others wait as long as the main process trains.
    return PartialState(cpu=cpu, timeout=timedelta(days=30))


def mute_others() -> None:
    """Only the main process shows progress and notes; an error is told by whoever meets it."""
    console.quiet = not is_main_process()


def once(work: Callable[[], object]) -> None:
    """The main process does `work`, as a process of its own; all go on when it is done."""
    if is_main_process():
        with _alone():
            work()
    wait()


def wait() -> None:
    """Go on when every process is here."""
    if process_count() > 1:
        process_state().wait_for_everyone()


def main_first(work: Callable[[], R]) -> R:
    """`work` in every process, in the main process before the others: it may fill a cache."""
    if process_count() == 1:
        return work()
    with process_state().main_process_first():
        return work()


def spread(items: Sequence[T], compute: Callable[[T], R], *, seconds: float = math.inf) -> list[R]:
    """`compute` of every item, in every process: each computes every n-th, and all have all results.

    Args:
        seconds: in one process, after so long no further item is begun; the results are those of the first items.
    """
    if process_count() == 1:
        started, results = time.monotonic(), []
        for item in items:
            results.append(compute(item))
            if time.monotonic() - started > seconds:
                break
        return results
    from accelerate.utils import gather_object

    own = items[process_state().process_index :: process_count()]
    return list(gather_object([compute(item) for item in own]))


def gathered(value: R) -> list[R]:
    """The values of all processes, in every process."""
    if process_count() == 1:
        return [value]
    from accelerate.utils import gather_object

    return list(gather_object([value]))


@contextmanager
def _alone() -> Iterator[None]:
    """Hide the other processes from libraries: the Trainer would divide every batch among them."""
    if process_count() == 1:
        yield
        return
    from accelerate.state import AcceleratorState

    hidden = {name: os.environ.pop(name) for name in _LAUNCHED if name in os.environ}
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield
    finally:
        os.environ.update(hidden)
        AcceleratorState._reset_state(reset_partial_state=True)
        process_state()
