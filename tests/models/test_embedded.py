"""The embedded model is made once, however many processes want it at the same time."""

from __future__ import annotations

import threading
import time

import clues.models.embedded as embedded


def test_those_who_come_at_the_same_time_wait_for_the_first(tmp_path, monkeypatch):
    made = []

    def convert(gguf, folder):
        made.append(gguf)
        time.sleep(0.1)
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    def packaged(requirement, member, digest):
        file = tmp_path / "model.gguf"
        file.write_text("weights")
        return file

    monkeypatch.setenv("CLUES_CACHE", str(tmp_path))
    monkeypatch.setattr(embedded, "packaged_file", packaged)
    monkeypatch.setattr(embedded, "_convert", convert)
    found: list[bool] = []
    threads = [
        threading.Thread(target=lambda: found.append((embedded.fetch() / "config.json").is_file())) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert (found, len(made)) == ([True] * 3, 1)
