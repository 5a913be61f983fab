"""Several processes of one silo, started by `accelerate launch` or `torchrun`, which share the batches.

The main process does what must be done once (training, writing) while the others wait. They share a disk, so that all
see the same files. In a single process, the usual case, these functions have no effect.
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

_LAUNCHED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE")  # a launcher sets them


def process_count() -> int:
    """The number of processes that were launched together, found without loading a library."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in _LAUNCHED[:3]) else 1


def is_main_process() -> bool:
    return process_count() == 1 or bool(process_state().is_main_process)


def process_state() -> Any:
    """accelerate's PartialState: the process group, joined on the first call, and the device of this process."""
    import torch
    from accelerate import PartialState

    cpu = not torch.cuda.is_available() or os.environ.get("ACCELERATE_USE_CPU", "").lower() == "true"
    # The timeout covers the main process's training, for which the others wait.
    return PartialState(cpu=cpu, timeout=timedelta(days=30))


def mute_others() -> None:
    """Only the main process shows progress and notes; every process reports its own errors."""
    console.quiet = not is_main_process()


def once(work: Callable[[], object]) -> None:
    """The main process does `work`, as if it were the only process, while the others wait."""
    if is_main_process():
        with _alone():
            work()
    wait()


def wait() -> None:
    """Wait until every process gets here."""
    if process_count() > 1:
        process_state().wait_for_everyone()


def main_first(work: Callable[[], R]) -> R:
    """Do `work` in every process, first in the main process, so that it can fill a cache."""
    if process_count() == 1:
        return work()
    with process_state().main_process_first():
        return work()


def spread(items: Sequence[T], compute: Callable[[T], R], *, seconds: float = math.inf) -> list[R]:
    """`compute` of every item: each of n processes computes every n-th item, and all get all results.

    Args:
        seconds: in a single process, the time after which no further item is started; the results are those so far.
    """
    if process_count() == 1:
        started, results = time.monotonic(), []
        for item in items:
            results.append(compute(item))
            if time.monotonic() - started > seconds:
                break
        return results
    from accelerate.utils import gather_object

    local = items[process_state().process_index :: process_count()]
    return list(gather_object([compute(item) for item in local]))


def gathered(value: R) -> list[R]:
    """The values of all processes, in every process."""
    if process_count() == 1:
        return [value]
    from accelerate.utils import gather_object

    return list(gather_object([value]))


@contextmanager
def _alone() -> Iterator[None]:
    """Hide the other processes from libraries, as the Trainer would split every batch among them."""
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
