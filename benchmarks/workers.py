"""Each contender in a process of its own, started once and asked in turn: alternation, and a peak memory of its own."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from contenders import way_of
from setting import Setting, prepare

_STATUS = Path("/proc/self/status")


@dataclass
class Record:
    """What was measured of one contender; sizes in bytes. `error`: why it could not run."""

    startup: float = 0.0
    seconds: list[float] = field(default_factory=list)
    collecting: list[float] = field(default_factory=list)  # of the seconds, in Python's garbage collector
    peak: int = 0
    disk: int = 0
    scores: torch.Tensor = field(default_factory=lambda: torch.zeros(0))
    error: str = ""


def measure(contenders: Sequence[tuple[str, Setting]], repeats: int, folder: Path) -> list[Record]:
    """One untimed run each, which gives the scores, then `repeats` alternations."""
    context = multiprocessing.get_context("spawn")  # fork would hand the parent's memory down
    records, pipes, processes = [], [], []
    for number, (name, setting) in enumerate(contenders):
        record, (ours, theirs) = Record(), context.Pipe()
        started = time.perf_counter()
        process = context.Process(target=_serve, args=(name, setting, folder / str(number), theirs), daemon=True)
        process.start()
        theirs.close()
        _ask(ours, record)
        record.startup = time.perf_counter() - started
        records.append(record)
        pipes.append(ours)
        processes.append(process)
    for repeat in range(repeats + 1):
        for record, pipe in zip(records, pipes, strict=True):
            if record.error:
                continue
            pipe.send("run")
            answer = _ask(pipe, record)
            if not answer:
                continue
            record.peak = max(record.peak, answer["peak"])
            if repeat == 0:
                record.scores, record.disk = torch.from_numpy(answer["scores"]), answer["disk"]
            else:
                record.seconds.append(answer["seconds"])
                record.collecting.append(answer["collecting"])
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.close()
        process.join()
    return records


def _ask(pipe: Any, record: Record) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = pipe.recv()
    except EOFError:
        answer = {"error": "its process ended"}
    if "error" in answer:
        record.error = answer["error"].strip().splitlines()[-1]
        print(answer["error"], file=sys.stderr)
        return {}
    return answer


def _serve(name: str, setting: Setting, folder: Path, pipe: Any) -> None:
    folder.mkdir(parents=True)
    with (folder.parent / f"{folder.name}.log").open("w") as log:  # libraries print what they do
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        with way_of(name)(prepare(setting), folder) as run:
            inputs, collecting = size_of(folder), _clock_collector()
            pipe.send({"ready": True})
            while pipe.recv() == "run":
                forget_peak()
                collecting[0] = 0.0
                started = time.perf_counter()
                scores = run()
                seconds = time.perf_counter() - started
                pipe.send(
                    {
                        "seconds": seconds,
                        "collecting": collecting[0],
                        "peak": peak(),
                        "disk": size_of(folder) - inputs,
                        "scores": scores.numpy().copy(),
                    }
                )
    except EOFError:  # the other end is done
        pass
    except BaseException:
        pipe.send({"error": traceback.format_exc()})


def _clock_collector() -> list[float]:
    """Sums the time spent in Python's garbage collector, which some libraries call often."""
    total, started = [0.0], [0.0]

    def clock(phase: str, _: Any) -> None:
        if phase == "start":
            started[0] = time.perf_counter()
        else:
            total[0] += time.perf_counter() - started[0]

    gc.callbacks.append(clock)
    return total


def peak() -> int:
    """Of resident memory. Not getrusage: there a process inherits the peak of the one that started it."""
    if not _STATUS.exists():  # not Linux: not measured
        return 0
    sizes = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
    return int(sizes["VmHWM"].split()[0]) * 1024


def forget_peak() -> None:
    """Loading a model may take more than scoring with it; Linux forgets the peak on this."""
    with contextlib.suppress(OSError):  # where that is not allowed, the peak of loading counts too
        Path("/proc/self/clear_refs").write_text("5")


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
