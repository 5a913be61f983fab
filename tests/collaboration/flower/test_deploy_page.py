"""Every command and every settings file of docs/deploy.md, in its order, with loopback addresses and a tiny model."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import tomli_w

from deployment import free_port, listening, wait_for, write_samples

pytestmark = [pytest.mark.deployment, pytest.mark.timeout(1200)]
PAGE = (Path(__file__).parents[3] / "docs" / "deploy.md").read_text(encoding="utf-8")
COMMANDS = [shlex.split(line) for line in re.findall(r"^\$ clues (.+)$", PAGE, re.M)]
OWNER, RUN = (tomllib.loads(text) for text in re.findall(r"```toml\n(.+?)```", PAGE, re.S))


def test_two_hosts_from_nothing_to_a_finished_run(tiny_model, tmp_path):
    """`host`: the folder of each of the three, who share nothing but the file that is handed over."""
    assert [" ".join(words[:2]) for words in COMMANDS] == [
        *("server start", "server add-client", "server add-client", "client check", "client start"),
        *("server doctor", "run collaboration.toml"),
    ]
    started: list[subprocess.Popen[bytes]] = []
    port = str(free_port())
    loopback = {"0.0.0.0": "127.0.0.1", "9092": port, "clues.example.org": "127.0.0.1"}

    def words(line: list[str], *more: str) -> list[str]:
        return [sys.executable, "-m", "clues", *(loopback.get(word, word) for word in line), *more]

    def host(name: str) -> Path:
        (tmp_path / name).mkdir(exist_ok=True)
        return tmp_path / name

    def run(line: list[str], at: Path) -> str:
        done = subprocess.run(words(line), cwd=at, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def serve(line: list[str], at: Path) -> None:
        with (at / "log").open("wb") as log:
            started.append(subprocess.Popen(words(line), cwd=at, stdout=log, stderr=log))

    try:
        serve(COMMANDS[0], host("coordinator"))
        wait_for(lambda: listening(int(port)), "the server", seconds=120)
        for line in COMMANDS[1:3]:
            name = line[2]
            run(line, host("coordinator"))
            (host("coordinator") / "server" / "clients" / f"{name}.toml").rename(host(name) / f"{name}.toml")
            handed = tomllib.loads((host(name) / f"{name}.toml").read_text())
            write_samples(host(name) / "samples.jsonl", 8, name)
            owner = {**handed, **OWNER, "id": name, "folder": handed["folder"], "model": {"id": str(tiny_model)}}
            (host(name) / f"{name}.toml").write_text(tomli_w.dumps(owner))
        checked = run(COMMANDS[3], host("hospital"))
        assert [line.split(":")[0] for line in checked.splitlines()] == ["data", "model", "server"]
        for name in ("hospital", "bank"):
            serve([word.replace("hospital", name) for word in COMMANDS[4]], host(name))
        for part, count in (("validation", 4), ("anchors", 4), ("test", 3)):
            write_samples(host("coordinator") / f"{part}.jsonl", count)
        engine = {**RUN["engine"], "address": f"127.0.0.1:{port}"}
        small = {"lora": {"r": 2}, "training": {"epochs": 1.0}}
        tree = {**RUN, **small, "model": {"id": str(tiny_model)}, "engine": engine}
        (host("coordinator") / "collaboration.toml").write_text(tomli_w.dumps(tree))
        assert "Selection" in run(COMMANDS[6], host("coordinator"))  # it waits for the clients
        assert run(COMMANDS[5], host("coordinator")) == "The server runs, and all registered clients are online.\n"
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(60)
    assert (host("coordinator") / "runs" / "together" / "metrics.json").is_file()
    assert not (host("coordinator") / "runs" / "together" / "clients").exists()
    for name in ("hospital", "bank"):
        assert len(list(host(name).glob(f"clues-{name}/jobs/*/kept.jsonl"))) == 1


def test_the_settings_it_names_have_the_defaults_it_says():
    from clues.settings import EngineSettings

    rows = re.findall(r"^\| `engine\.(\w+)` \| (.+?) \|", PAGE, re.M)
    defaults = EngineSettings().model_dump()
    assert {name: str(defaults[name]).removesuffix(".0") for name, _ in rows} == {
        name: {"all clients": "None"}.get(default, default) for name, default in rows
    }
