"""Several processes of one silo, on this machine's loopback: the scores of one process, each batch done once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet
import pytest
import torch
from typer.testing import CliRunner

from clues.cli import app

SECONDS = 240


@contextmanager
def launched(arguments: list[str], count: int = 2) -> Iterator[list[subprocess.Popen[str]]]:
    """What a launcher does, without its own processes: each is told its place, and none outlives the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count), "OMP_NUM_THREADS": "1"}
    places = [{"RANK": str(n), "LOCAL_RANK": str(n), "LOCAL_WORLD_SIZE": str(count)} for n in range(count)]
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **shared, **place, "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for place in places
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait(timeout=30)


def finished(processes: list[subprocess.Popen[str]]) -> list[tuple[str, str]]:
    deadline = time.monotonic() + SECONDS
    return [process.communicate(timeout=max(1.0, deadline - time.monotonic())) for process in processes]


SCRIPT = """
import os
from clues.io.processes import is_main_process, main_first, once, process_count, spread
done = []
found = spread(range(5), lambda n: done.append(n) or n * n)
once(lambda: done.append(("once", process_count(), "RANK" in os.environ)))
print(process_count(), is_main_process(), main_first(lambda: 7), sorted(found), done)
"""


def test_items_are_shared_and_all_get_every_result():
    with launched(["-c", SCRIPT]) as processes:
        (one, one_said), (two, two_said) = finished(processes)
    assert one.strip() == "2 True 7 [0, 1, 4, 9, 16] [0, 2, 4, ('once', 1, False)]", one_said
    assert two.strip() == "2 False 7 [0, 1, 4, 9, 16] [1, 3]", two_said


@pytest.fixture
def command(tiny_model: Path, write_samples: Callable[..., Path]) -> Callable[[Path], list[str]]:
    samples, validation, anchors = (
        str(write_samples(name, size)) for name, size in (("own.jsonl", 60), ("val.jsonl", 3), ("anchors.jsonl", 4))
    )
    fast = ["training.steps=4", "lora.r=2", "scoring.method=combined", "scoring.batch_size=1"]

    def score(out: Path) -> list[str]:
        public = ["--validation", validation, "--anchors", anchors, "--model", str(tiny_model), "--out", str(out)]
        return ["score", samples, *public, *(part for setting in fast for part in ("--set", setting))]

    return score


def test_two_processes_that_were_killed_go_on_and_score_as_one(command, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    assert CliRunner().invoke(app, command(one)).exit_code == 0
    with launched(["-m", "clues", *command(two)]) as processes:
        deadline = time.monotonic() + SECONDS
        while not list((two / "store" / "passes").glob("*.safetensors")):
            assert all(process.poll() is None for process in processes), finished(processes)
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert not (two / "scores.parquet").exists()
    with launched(["-m", "clues", *command(two)]) as processes:
        (told, said), other = finished(processes)
    assert [process.returncode for process in processes] == [0, 0], said + other[1]
    assert "Scores in" in told
    assert other[0] == ""
    for table in ("scores.parquet", "anchors.parquet"):
        left, right = (pyarrow.parquet.read_table(folder / table).to_pydict() for folder in (one, two))
        assert left.pop("id") == right.pop("id")
        assert list(left) == list(right)
        for name in ("checks", "duplicate_of", "copy_of_public"):
            assert left.pop(name, None) == right.pop(name, None)
        for name in left:
            assert torch.allclose(torch.tensor(left[name]), torch.tensor(right[name]), rtol=1e-5, atol=0), name
    assert sorted(path.name for path in two.iterdir()) == sorted(path.name for path in one.iterdir())


def test_other_commands_say_that_they_run_in_one_process(tmp_path):
    with launched(["-m", "clues", "validate", str(tmp_path / "none.toml")]) as processes:
        outcome = finished(processes)
    assert [process.returncode for process in processes] == [2, 2]
    assert "clues validate: runs in one process; start it without a launcher." in outcome[0][1]
