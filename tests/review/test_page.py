"""The page as a person meets it: `clues review` in a process of its own, and a headless Chromium."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from scored import records, scored_folder

pytest.importorskip("nicegui")
CHROMIUM = Path("/usr/bin/chromium")
WAIT = 90  # seconds, on a busy machine
EVIL = "<script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\"></textarea> **b** {{ 7*7 }}"


class Server:
    """A running `clues review` and its link."""

    def __init__(self, folder: Path, log: Path, *more: str) -> None:
        with log.open("w") as stream:
            command = [sys.executable, "-m", "clues", "review", str(folder), *more]
            self.process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=folder.parent)
        end = time.monotonic() + WAIT
        while not (found := re.search(r"http://127\.0\.0\.1:(\d+)/\?token=\S+", log.read_text())):
            assert self.process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.2)
        self.link, self.port, self.log = found[0], int(found[1]), log

    def stop(self, number: signal.Signals = signal.SIGINT) -> str:
        self.process.send_signal(number)
        self.process.wait(WAIT)
        return self.log.read_text()


@pytest.fixture
def start(tmp_path):
    started = []

    def run(folder, *more):
        started.append(Server(folder, tmp_path / f"log-{len(started)}", *more))
        return started[-1]

    yield run
    for server in started:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


@pytest.fixture
def folder(tmp_path):
    rows = records(60)
    for row in rows[::2]:
        row["response"], row["prompt"] = f"{row['response']} {EVIL}", f"{row['prompt']} {EVIL}"
    return scored_folder(tmp_path / "run", rows)


@pytest.fixture
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.is_file():
        pytest.skip(f"there is no {CHROMIUM}")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield launched
        launched.close()


def opened(browser, server):
    """The page in a context of its own, with what its console said and what it requested."""
    page = browser.new_context().new_page()
    page.set_default_timeout(WAIT * 1000)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if "//127.0.0.1:" not in request.url else None)
    page.goto(server.link)
    page.locator("header .note").get_by_text("are kept").wait_for()  # the first that comes through the websocket
    return page, said


def press(page, key, progress):
    """Press a key, and wait for the progress that follows."""
    page.keyboard.press(key)
    page.get_by_role("heading", name=f"{progress} of 20 reviewed", exact=True).wait_for()


def marked(folder):
    file = folder / "decisions.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


def test_twenty_samples_by_keyboard_with_the_browser_closed_and_the_server_killed_in_between(start, folder, browser):
    server = start(folder)
    page, said = opened(browser, server)
    kept = page.locator("header .note")
    assert "are kept, with your marks as without" in kept.inner_text()
    for number in range(1, 8):
        press(page, "kdu"[number % 3], number)
        assert [mark["quality"] for mark in marked(folder)][-1] == ("good", "low", "unsure")[number % 3]
    press(page, "z", 6)
    assert len(marked(folder)) == 6
    page.keyboard.press("r")
    page.keyboard.type("kd: too short")
    page.keyboard.press("Escape")
    press(page, "k", 7)
    assert marked(folder)[-1]["remark"] == "kd: too short"
    page.keyboard.press("Control+d")
    page.keyboard.press("ArrowLeft")
    page.get_by_text("Your mark: keep").wait_for()
    page.keyboard.press("s")
    page.get_by_text("The score").wait_for()
    page.keyboard.press("ArrowRight")
    press(page, "d", 8)
    kept.get_by_text("instead of").wait_for()
    assert (page.title(), said) == ("Review of run", [])
    page.context.close()
    assert status(server, server.link[server.link.index("/?") :]) == 403  # as the link works once
    assert len({mark["id"] for mark in marked(folder)}) == 8
    server.stop(signal.SIGKILL)

    server = start(folder)
    page, said = opened(browser, server)
    page.get_by_role("heading", name="8 of 20 reviewed").wait_for()
    for number in range(9, 20):
        press(page, "u", number)
    page.keyboard.press("k")
    page.get_by_role("heading", name="You have reviewed all 20.").wait_for()
    page.get_by_text(f"clues select {folder}").wait_for()
    marks = marked(folder)
    assert len({mark["id"] for mark in marks}) == 20
    page.get_by_role("button", name="Review 20 more").click()
    page.get_by_role("heading", name="20 of 40 reviewed").wait_for()
    assert said == []
    assert f"20 marks in {folder / 'decisions.jsonl'}" in server.stop()
    assert server.process.returncode == 0


def test_the_grid_finds_any_sample_and_text_in_it_does_nothing(start, folder, browser):
    page, said = opened(browser, start(folder))
    page.keyboard.press("a")
    page.get_by_text("1-50 of 60").wait_for()
    page.get_by_label("Search").fill("number 42 nowhere")
    page.get_by_text("No data available").wait_for()
    page.get_by_label("Search").fill("number 42 document.title")
    page.get_by_text("1-1 of 1").wait_for()
    page.get_by_role("button", name="what is 42").click()
    page.get_by_text("Sample s42").wait_for()
    assert page.locator(".response .text").inner_text() == f"the number 42 {EVIL}"
    assert page.locator("article img, article script, article strong").count() == 0
    page.wait_for_function("document.querySelectorAll('.q-dialog__inner').length == 0")
    page.keyboard.press("d")
    page.get_by_text("Sample s42").wait_for(state="detached")
    assert marked(folder) == [{"id": "s42", "quality": "low", "remark": ""}]
    page.reload()
    page.get_by_role("heading", name="0 of 20 reviewed").wait_for()
    assert (page.title(), said) == ("Review of run", [])


def test_a_broken_file_of_marks_is_named_on_the_page_and_left_alone(start, folder, browser):
    page, _ = opened(browser, start(folder))
    (folder / "decisions.jsonl").write_text("{broken\n")
    page.keyboard.press("k")
    page.get_by_text("Nothing was written: ").wait_for()
    assert (folder / "decisions.jsonl").read_text() == "{broken\n"


def status(server, path="/", **headers):
    request = Request(f"http://127.0.0.1:{server.port}{path}", headers=headers)
    try:
        with urlopen(request, timeout=WAIT) as answer:
            return answer.status
    except OSError as error:
        return getattr(error, "code", None)


def test_the_server_answers_nobody_without_the_token_and_on_loopback_only(start, folder):
    import nicegui

    server = start(folder)
    statics = f"/_nicegui/{nicegui.__version__}/static/nicegui.js"
    paths = ["/", "/anything", statics, "/_nicegui_ws/socket.io/?EIO=4&transport=polling", "/docs", "/openapi.json"]
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    for path in paths:
        assert status(server, path) == 403
    assert status(server, "/_nicegui_ws/socket.io/?EIO=4&transport=websocket", **upgrade) == 403
    assert status(server, server.link[server.link.index("/?") :], Host=f"evil.example:{server.port}") == 403
    for address in ("127.0.0.2", socket.gethostbyname(socket.gethostname()), "::1"):
        if address == "127.0.0.1":
            continue
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family) as other, pytest.raises(OSError):
            other.settimeout(5)
            other.connect((address, server.port))
    listening = Path(f"/proc/{server.process.pid}/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    port = f":{server.port:04X} "
    local = [line.split()[1] for line in listening.splitlines()[1:] if f"{port}00000000:0000 0A" in line]
    assert local == [f"0100007F:{server.port:04X}"]
