"""The real model at three data owners on hosts of their own, where this machine lets us make them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployment import IDS, Deployment, listening

pytestmark = [pytest.mark.deployment, pytest.mark.real_model, pytest.mark.timeout(1200)]
COORDINATOR, NETWORK = "10.203.77.1", f"clues{os.getpid()}"
SMALL = {
    "training": {"steps": 2, "batch_size": 3, "checkpoints": 1},
    "scoring": {"method": "clues"},
    "evaluation": {"arms": ["selected"]},
}


class Hosts(Deployment):
    def host_of(self, client: str) -> list[str]:
        return [] if self.host == "127.0.0.1" else ["ip", "netns", "exec", f"{NETWORK}{client}"]


@contextlib.contextmanager
def hosts() -> Iterator[str]:
    """A network namespace for every data owner, joined by a bridge; gives the bridge's address, or the loopback one."""
    made = ip(f"link add {NETWORK} type bridge", f"addr add {COORDINATOR}/24 dev {NETWORK}", f"link set {NETWORK} up")
    try:
        for number, client in enumerate(IDS, start=2):
            space, port = f"{NETWORK}{client}", f"{NETWORK}-{client}"
            made = made and ip(
                f"netns add {space}",
                f"link add {port} type veth peer name eth0 netns {space}",
                f"link set {port} up master {NETWORK}",
                f"-n {space} addr add 10.203.77.{number}/24 dev eth0",
                f"-n {space} link set eth0 up",
                f"-n {space} link set lo up",
            )
        yield COORDINATOR if made else "127.0.0.1"
    finally:
        for command in [*(f"netns del {NETWORK}{client}" for client in IDS), f"link del {NETWORK}"]:
            ip(command)


def ip(*commands: str) -> bool:
    """Whether all of them could be run: there may be no such command, or no right to use it."""
    if shutil.which("ip") is None:
        return False
    return all(not subprocess.run(["ip", *command.split()], capture_output=True).returncode for command in commands)


@pytest.mark.skipif("CLUES_SLOW" not in os.environ, reason="takes minutes; set CLUES_SLOW=1")
def test_the_real_model_gives_the_same_bytes_on_three_hosts(tmp_path):
    with hosts() as address:
        deployment = Hosts(tmp_path, Path("smollm2-135m"), samples=6, host=address)
        try:
            deployment.start()
            if address != "127.0.0.1":  # a client's own ports are on another host
                worker = deployment.part("a", "worker")
                assert worker and not listening(int(worker.cmdline()[-2].rpartition(":")[2]))
            deployment.run("deployment", **SMALL)
        finally:
            deployment.close()
    deployment.run("in-process", "in-process", **SMALL)
    assert deployment.equal("deployment", "in-process")
