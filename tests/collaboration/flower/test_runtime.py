"""What stands on Flower's internals, where Flower fails."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from clues.collaboration.flower import runtime
from clues.collaboration.flower.processes import write_secret
from clues.collaboration.flower.runtime import SUPERNODE, serve
from clues.errors import ProtocolError


def test_a_supernode_whose_loop_has_ended_ends(tmp_path):
    """Another thread would keep its process: then nobody starts it again."""
    package = tmp_path / "flwr" / "supernode"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    (package / "cli.py").write_text(
        "import threading, time\n"
        "def flower_supernode():\n"
        "    threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "    print('its loop has ended')\n"
    )
    command, environment = [sys.executable, "-P", "-c", SUPERNODE], {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (1, "its loop has ended\n")


def test_a_worker_whose_answer_the_node_does_not_take_goes_on(monkeypatch, tmp_path):
    """The model stays loaded; the coordinator asks again."""
    tasks = iter([SimpleNamespace(token="t", HasField=lambda name: True)] * 2)

    class Node:
        def AcquireTask(self, request):
            for task in tasks:
                return task
            raise KeyboardInterrupt  # Flower's way to end

    def given_up(client, answer):
        raise RuntimeError("Failed to push object")

    monkeypatch.setattr(runtime, "_connected", lambda address, guard: Node())
    monkeypatch.setattr(runtime, "_one_task", given_up)
    lines: list[str] = []
    with pytest.raises(ProtocolError):
        serve("127.0.0.1:1", write_secret(tmp_path / "secret"), lambda message: message, log=lines.append)
    assert lines == ["a task was given up: RuntimeError"] * 2
