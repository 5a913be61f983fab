"""Child processes: started again, explained, stopped by their own id, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from clues.collaboration.flower.processes import Child, free_port, listening, supervise, write_secret
from clues.errors import ProtocolError


def child(tmp_path, code: str, **options) -> Child:
    return Child("it", [sys.executable, "-c", code], tmp_path / "logs" / "it.log", **options)


def until(condition, seconds: float = 20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_child_that_ends_is_started_again_later_each_time(tmp_path):
    waits = []

    def back_off(times: int) -> float:
        waits.append(times)
        return 0.0

    it = child(tmp_path, "print('started')", back_off=back_off)
    it.start()
    until(lambda: it.watch() or len(waits) == 3)
    it.stop()
    assert waits == [0, 1, 2]
    assert it.log.read_text().count("started") >= 3
    defaults = [Child("it", [], it.log).back_off(times) for times in range(8)]
    assert defaults == sorted(defaults)
    assert (defaults[0], defaults[-1]) == (1.0, 60.0)


def test_it_waits_before_it_starts_a_child_again(tmp_path):
    it = child(tmp_path, "pass", back_off=lambda times: 60.0)
    it.start()
    until(lambda: it.watch() or it.process is None)
    it.watch()
    assert it.process is None


def test_an_end_that_starting_again_does_not_help_is_told_in_a_sentence(tmp_path):
    it = child(tmp_path, "print('code: 7')", explain=lambda text, ended: "do this." if "code: 7" in text else None)
    it.start()
    with pytest.raises(ProtocolError, match=r"^it: do this\.$"):
        until(lambda: it.watch() or False)


def test_only_the_latest_start_is_explained(tmp_path):
    seen = []
    it = child(tmp_path, "print('new')", explain=lambda text, ended: seen.append(text))
    it.log.parent.mkdir()
    it.log.write_text("old\n")
    it.start()
    until(lambda: it.watch() or seen)
    assert seen == ["new\n"]


def test_one_that_does_not_stop_when_asked_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("clues.collaboration.flower.processes._PATIENCE", 0.2)
    it = child(
        tmp_path, "import signal, time; signal.signal(15, signal.SIG_IGN); print('x', flush=True); time.sleep(60)"
    )
    it.start()
    until(lambda: "x" in it.tail())
    it.stop()
    assert it.process.returncode == -signal.SIGKILL


def test_children_are_stopped_in_reverse_order_and_others_left_alone(tmp_path):
    other = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    order = []

    class Noted(Child):
        def stop(self):
            order.append(self.name)
            super().stop()

    children = [Noted(name, [sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / name) for name in "ab"]
    supervise(children, until=lambda: True)
    assert order == ["b", "a"]
    assert all(it.process.poll() is not None for it in children)
    assert other.poll() is None
    other.kill()
    other.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="a process learns of its parent's end on Linux only")
def test_a_child_ends_with_its_supervisor_even_if_that_was_killed(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from clues.collaboration.flower.processes import Child\n"
        f"it = Child('it', [sys.executable, '-c', 'import time; time.sleep(60)'], Path({str(tmp_path / 'log')!r}))\n"
        "it.start(); print(it.process.pid, flush=True); time.sleep(60)"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    pid = int(supervisor.stdout.readline())
    until(lambda: psutil.Process(pid).cmdline()[-1].startswith("import time"))
    supervisor.kill()
    supervisor.wait()
    until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_a_secret_is_new_and_its_owners(tmp_path):
    first = write_secret(tmp_path / "secret").read_text()
    assert len(first) == 64
    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
    assert write_secret(tmp_path / "secret").read_text() != first


def test_a_free_port_is_not_listened_to():
    assert not listening(free_port())
