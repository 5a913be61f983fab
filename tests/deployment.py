"""A whole deployment on this machine: a server and its clients over TLS, each a process in a folder of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import ssl
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import tomli_w
from click.testing import Result
from typer.testing import CliRunner

IDS = ("a", "b", "c")
DATA = "samples.jsonl"  # a client's own file
SECRET = "zebrafish"  # stands in every private sample, and in no public one
WORDS = ["bone", "nerve", "heart", "rate", "price", "bond", "option", "trade", "fixed", "increased", "abnormal"]
PARTS = {
    "SuperNode": "flower-supernode",
    "worker": "clues.commands.worker",
    "SuperLink": "flower-superlink",
    "SuperExec": "flower-superexec",
    "ServerApp": "flwr-serverapp",
}


def wait_for(condition: Callable[[], Any], what: str, *, seconds: float) -> Any:
    """What the condition returns once it holds. Raises TimeoutError if it does not in time."""
    end = time.monotonic() + seconds
    while not (result := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.2)
    return result


def write_samples(path: Path, count: int, word: str = "") -> Path:
    rng = random.Random(path.name)
    rows = [
        {
            "id": f"{word or path.stem}-{number}",
            "prompt": "what is " + " ".join(rng.choices(WORDS, k=rng.randint(1, 6))),
            "response": " ".join([*rng.choices(WORDS, k=rng.randint(4, 14)), word]).strip(),
        }
        for number in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


_ASKED_AFTER = {"select": "prepare", "train": "judge"}  # what a client has answered before


def _kinds(job: Path) -> list[str]:
    """Of what a client has answered in a job."""
    ledger = job / "ledger.jsonl"
    return [json.loads(line)["kind"] for line in ledger.read_text().splitlines()] if ledger.is_file() else []


@dataclass
class Deployment:
    """`proxied`: clients reach the server through a proxy that keeps what passes, decrypted.
    `samples`: of each client. `host`: the address of the server. `owner`: what an owner adds to the file that is handed
    over. `said`: the commands of all, as they would be typed in the folder of who gives them.
    """

    folder: Path
    model: Path
    proxied: bool = False
    samples: int = 8
    host: str = "127.0.0.1"
    owner: dict[str, Any] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    proxy: Proxy | None = None

    def __post_init__(self) -> None:
        self.server, self.port = self.folder / "server", free_port()
        for name, count in (("validation", 4), ("anchors", 4), ("test", 3)):
            write_samples(self.folder / f"{name}.jsonl", count)

    def silo(self, client: str) -> Path:
        return self.folder / f"silo-{client}"

    def start(self) -> Deployment:
        """Returns when all clients are online and have read data and model."""
        self.start_server()
        for client in IDS:
            self.add_client(client)
        self.pin_keys()
        for client in IDS:
            self.start_client(client)
        wait_for(lambda: all(map(self.ready, IDS)), "all data and models read", seconds=240)
        wait_for(lambda: not self.wrong(), "all clients online", seconds=240)
        return self

    def start_server(self) -> None:
        command = ["server", "start", "--folder", "server", "--name", self.host, "--host", self.host]
        self.processes["server"] = self.spawn([*command, "--port", self.port], self.folder / "server.log")
        wait_for(lambda: listening(self.port, self.host), "the SuperLink", seconds=120)
        if self.proxied and self.proxy is None:
            self.proxy = Proxy(self.server, self.port)

    def add_client(self, client: str) -> Path:
        """What a coordinator and then an owner do: register, hand over, name the data."""
        proxy = ["--address", f"{self.host}:{self.proxy.port}"] if self.proxy else []
        done = self.clues("server", "add-client", client, "--folder", "server", *proxy)
        assert done.exit_code == 0, done.stderr
        silo, handed = self.silo(client), tomllib.loads((self.server / "clients" / f"{client}.toml").read_text())
        write_samples(silo / DATA, self.samples, f"{SECRET}-{client}")
        tree = {**handed, "data": DATA, "model": {"id": str(self.model), "device": "cpu"}}
        tree["allow"] = {**self.owner.get("allow", {}), "megabytes": 1}
        (silo / "silo.toml").write_text(tomli_w.dumps(tree))
        return silo / "silo.toml"

    def pin_keys(self) -> None:
        """What owners do who want masks: each makes a key, and lists the public ones of all."""
        from clues.collaboration.privacy.keys import write_key

        keys = {client: self.silo(client) / "mask.key" for client in IDS}
        pinned = {client: write_key(key) for client, key in keys.items()}
        for client, key in keys.items():
            file = self.silo(client) / "silo.toml"
            masks = {"key": str(key), "pinned": pinned}
            file.write_text(tomli_w.dumps({**tomllib.loads(file.read_text()), "masks": masks}))

    def start_client(self, client: str) -> None:
        silo = self.silo(client)
        self.processes[client] = self.spawn(["client", "start", "silo.toml"], silo / "log", client=client)

    def ready(self, client: str) -> bool:
        """Whether a client has read its data and model."""
        log = self.silo(client) / f"clues-{client}" / "logs" / "worker.log"
        return log.is_file() and "model: " in log.read_text()

    def host_of(self, client: str) -> list[str]:
        """The command that runs others on a client's host."""
        return []

    def wrong(self) -> str:
        """What the doctor says, if anything."""
        from clues.collaboration.flower.server import doctor

        return "\n".join(doctor(self.server))

    def config(self, name: str, by: str = "deployment", **tables: Any) -> Path:
        """The settings of a run by an engine: the same but for what carries the messages."""
        deployed = by == "deployment"
        address = {
            "address": f"{self.host}:{self.port}",
            "root_certificates": str(self.server / "ca.crt"),
            "wait": 150.0,
        }
        data = {} if deployed else {client: str(self.silo(client) / DATA) for client in IDS}
        tree: dict[str, Any] = {
            "validation": [str(self.folder / "validation.jsonl")],
            "anchors": [str(self.folder / "anchors.jsonl")],
            "clients": [{"id": client, **({"data": data[client]} if data else {})} for client in IDS],
            "model": {"id": str(self.model), "device": "cpu"},
            "lora": {"r": 2},
            "training": {"epochs": 2.0, "batch_size": 4, "learning_rate": 0.005},
            "evaluation": {"tests": [str(self.folder / "test.jsonl")], "arms": ["base", "mixed", "selected"]},
        }
        for table, values in tables.items():
            tree[table] = {**tree.get(table, {}), **values} if isinstance(values, dict) else values
        tree["engine"] = {"name": by, **(address if deployed else {}), **tables.get("engine", {})}
        file = self.folder / f"{name}.toml"
        file.write_text(tomli_w.dumps(tree))
        return file

    def run(self, name: str, by: str = "deployment", **tables: Any) -> dict[str, Any]:
        """What `clues run` does, into the folder of that name; returns the metrics."""
        from clues.collaboration.local import collaborate
        from clues.settings import RunSettings, read_toml, validated

        out = self.folder / name
        settings = validated(RunSettings, {**read_toml(self.config(name, by, **tables)), "out": str(out)})
        return collaborate(settings, out)

    def clues(self, *arguments: object, at: Path | None = None) -> Result:
        """A command of the coordinator, or in the folder `at`, in this process."""
        from clues.cli import app

        words = [str(argument) for argument in arguments]
        self.said.append(" ".join(words))
        with contextlib.chdir(at or self.folder):
            return CliRunner().invoke(app, words)

    def spawn(self, arguments: Sequence[object], log: Path, client: str = "") -> subprocess.Popen[bytes]:
        host, folder = (self.host_of(client), self.silo(client)) if client else ([], self.folder)
        words = [str(argument) for argument in arguments]
        self.said.append(" ".join(words))
        with log.open("ab") as stream:
            return subprocess.Popen(
                [*host, sys.executable, "-m", "clues", *words], cwd=folder, stdout=stream, stderr=subprocess.STDOUT
            )

    def part(self, of: str, name: str) -> psutil.Process | None:
        """The process of a part, below that of the server or of a client."""
        sign = PARTS[name]
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(self.processes[of].pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    if any(sign in word for word in process.cmdline()[:4]):
                        return process
        return None

    def latest(self, client: str) -> Path:
        """The private folder of the job that a client was asked about last."""
        return max(self.jobs(client), key=lambda folder: (folder / "ledger.jsonl").stat().st_mtime)

    def jobs(self, client: str) -> set[Path]:
        return set(self.silo(client).glob("clues-*/jobs/*"))

    def equal(self, name: str, reference: str) -> bool:
        """Whether the latest run, in the folder `name`, gave what an in-process run gave in the folder `reference`."""
        here, there = self.folder / name, self.folder / reference
        return results(here, {client: self.latest(client) for client in IDS}) == results(
            there, {client: there / "clients" / client for client in IDS}
        )

    def killed_in(self, kills: Mapping[str, Sequence[tuple[str, str]]], name: str, **tables: Any) -> dict[str, float]:
        """A run, in the folder of that name, of which parts are killed with -9 while clients work in a phase.

        What a person would start again is started again.

        Args:
            kills: by phase, in the order of the phases, (of, part), where `of` is "server", "run" or a client, and
                `part` one of it, or "all" for the command that a person started. tables: settings; they make a job
                that no client knows.

        Returns:
            By phase, seconds from the kill until the coordinator has its answers.

        Raises:
            AssertionError: the run failed.
        """
        known = {client: self.jobs(client) for client in IDS}
        command = ["run", self.config(name, **tables), "--out", self.folder / name]

        def start(of: str) -> None:
            if of == "run":
                self.processes["run"] = self.spawn(command, self.folder / f"{name}.log")
            elif of == "server":
                self.start_server()
            else:
                self.start_client(of)

        start("run")
        ended = lambda: self.processes["run"].poll() is not None  # noqa: E731
        seconds = {}
        for phase, parts in kills.items():
            before = "weigh" if phase == "train" and "privacy" in tables else _ASKED_AFTER[phase]
            wait_for(lambda: self._answered(before, known) or ended(), f"the phase {phase}", seconds=400)  # noqa: B023
            self._work()
            since = time.monotonic()
            self._kill(parts)
            for of in [of for of, part in parts if part == "all"]:
                start(of)
            answers = self.folder / name / "server" / "store" / "answers" / phase
            wait_for(lambda: ended() or len([*answers.glob("*.safetensors")]) >= len(IDS), phase, seconds=400)  # noqa: B023
            seconds[phase] = time.monotonic() - since
        wait_for(ended, "the run", seconds=400)
        assert self.processes["run"].returncode == 0, (self.folder / f"{name}.log").read_text()
        return seconds

    def _answered(self, kind: str, known: Mapping[str, set[Path]]) -> bool:
        """Whether all clients have answered a question of this kind about a new job."""
        new = [self.jobs(client) - known[client] for client in IDS]
        return all(job and kind in _kinds(*job) for job in new)

    def _work(self) -> None:
        """Wait until a client works."""
        worker = wait_for(lambda: self.part("a", "worker"), "the worker", seconds=60)
        used = sum(worker.cpu_times()[:2])
        wait_for(lambda: sum(worker.cpu_times()[:2]) > used + 0.5, "work", seconds=60)

    def _kill(self, parts: Sequence[tuple[str, str]]) -> None:
        for of, name in parts:
            if name == "all":
                self.processes[of].kill()
                self.processes[of].wait()
            else:
                wait_for(lambda: self.part(of, name), name, seconds=60).kill()  # noqa: B023

    def close(self) -> None:
        """Stop every process by its own id, the server's last."""
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in self.processes.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()
        if self.proxy:
            self.proxy.close()


class Proxy:
    """Passes connections on to a server, and keeps what is sent either way as it is before encryption.

    All in one thread, as two must not use one TLS connection at the same time.
    """

    def __init__(self, server: Path, port: int) -> None:
        self._to, self.seen, self._loop = port, bytearray(), asyncio.new_event_loop()
        self._inner = ssl.create_default_context(cafile=str(server / "ca.crt"))
        outer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        outer.load_cert_chain(server / "server.crt", server / "server.key")
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=outer)
        self._listener = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self.port: int = self._listener.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):  # the server may be down
            there = await asyncio.open_connection("127.0.0.1", self._to, ssl=self._inner)
            await asyncio.gather(self._pass(reader, there[1]), self._pass(there[0], writer))

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.closing(target), contextlib.suppress(OSError):
            while data := await source.read(65536):
                self.seen += data
                target.write(data)
                await target.drain()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)


@contextlib.contextmanager
def deployed(folder: Path, model: Path, **options: Any) -> Iterator[Deployment]:
    deployment = Deployment(folder, model, **options)
    try:
        yield deployment.start()
    finally:
        deployment.close()


def results(out: Path, silos: dict[str, Path]) -> dict[str, bytes]:
    """What must be equal on every engine: `silos` are the clients' private folders of the run."""
    files = {"metrics.json": out / "metrics.json"}
    files |= {str(f.relative_to(out)): f for f in sorted((out / "server").glob("*/**/adapter_model.safetensors"))}
    files |= {f"{c}/{n}": folder / n for c, folder in silos.items() for n in ("kept.jsonl", "scores.parquet")}
    return {name: file.read_bytes() for name, file in files.items()}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def listening(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((host, port)) == 0


os.environ.setdefault("OMP_NUM_THREADS", "1")
