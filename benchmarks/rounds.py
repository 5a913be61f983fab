"""What a message round of a deployment costs: seconds from answer to answer, and memory and processor of each process.

    python benchmarks/rounds.py [--model FOLDER] [--plain]

Three clients on loopback addresses over TLS, two rounds of federated learning an arm. The model is a random one of two
layers, or that in FOLDER. `--plain` starts SuperNodes as Flower does, with a process for every message, in place of
resident workers.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from statistics import median

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from clues.collaboration.flower.processes import Child
from clues.collaboration.flower.silo import _node
from clues.settings import read_silo
from conftest import make_tiny_model
from deployment import IDS, PARTS, Deployment, free_port

# The texts are random words, of which a real model may keep none.
FEDERATED = {"collaboration": {"mode": "federated", "rounds": 2}, "selection": {"threshold": "ratio"}}


class Plain(Deployment):
    """Clients without a resident worker."""

    def start_client(self, client: str) -> None:
        silo = self.silo(client)
        node = _node(read_silo(silo / "silo.toml"), free_port(), silo / "unused")
        kept = node.command[: node.command.index("--isolation")]
        settings = ["--node-config", f'silo="{silo / "silo.toml"}"']
        child = Child("the node", [*kept, *settings], silo / "log", node.environment)
        child.start()
        assert child.process is not None
        self.processes[client] = child.process

    def ready(self, client: str) -> bool:
        return True  # each message has a process that reads them


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path)
    parser.add_argument("--plain", action="store_true")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="clues-rounds-"))
    kind = Plain if given.plain else Deployment
    deployment = kind(folder, given.model or make_tiny_model(folder / "model"))
    peaks: dict[str, int] = {}
    worked: dict[int, tuple[str, float]] = {}
    try:
        deployment.start()
        ended = threading.Event()
        watcher = threading.Thread(target=watch, args=(deployment, peaks, worked, ended))
        watcher.start()
        deployment.run("measured", **FEDERATED)
        ended.set()
        watcher.join()
        tell(deployment, peaks, worked)
    finally:
        deployment.close()
        shutil.rmtree(folder)


def watch(
    deployment: Deployment, peaks: dict[str, int], worked: dict[int, tuple[str, float]], ended: threading.Event
) -> None:
    """By kind of process, the largest memory: what it does not share, and its part of what it does. By process, its
    kind and the seconds of the processor since now.
    """
    now, before = time.time(), dict[int, float]()
    while not ended.wait(1):
        for process in [p for top in deployment.processes.values() for p in tree(top.pid)]:
            try:
                line, used = " ".join(process.cmdline()[:4]), process.memory_full_info().pss
                seconds, old = sum(process.cpu_times()[:2]), process.create_time() < now
            except psutil.Error:
                continue
            name = next((name for name, sign in PARTS.items() if sign in line), "supervisor")
            name = "process of a message" if "flwr-clientapp" in line else name
            peaks[name] = max(peaks.get(name, 0), used)
            worked[process.pid] = name, seconds - before.setdefault(process.pid, seconds if old else 0.0)


def tree(pid: int) -> list[psutil.Process]:
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def tell(deployment: Deployment, peaks: dict[str, int], worked: dict[int, tuple[str, float]]) -> None:
    """A round ends when the last client has answered; the first question's round begins with the run."""
    ledgers = [(deployment.latest(client) / "ledger.jsonl").read_text().splitlines() for client in IDS]
    rounds = [[json.loads(line) for line in lines] for lines in zip(*ledgers, strict=True)]
    ends = [max(datetime.fromisoformat(entry["time"]).timestamp() for entry in entries) for entries in rounds]
    seconds: dict[str, list[float]] = {}
    for number in range(1, len(rounds)):
        seconds.setdefault(rounds[number][0]["kind"], []).append(ends[number] - ends[number - 1])
    print("| question | rounds | s a round |\n|---|---|---|")
    for kind, values in seconds.items():
        print(f"| {kind} | {len(values)} | {median(values):.0f} |")
    print("\n| process | MB of each | s of the processor a round, of all |\n|---|---|---|")
    for name, used in peaks.items():
        total = sum(seconds for kind, seconds in worked.values() if kind == name)
        print(f"| {name} | {used / 1e6:.0f} | {total / len(rounds):.1f} |")


if __name__ == "__main__":
    main()
