"""The resident worker: the owner's page is written while there are no questions, and stops nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from clues.collaboration.resident import Resident
from clues.commands import worker as module
from clues.commands.worker import Worker
from clues.settings import SiloFile
from clues.silo.folder import THRESHOLD


@pytest.fixture
def worker(monkeypatch, tmp_path):
    """One that has just answered, and the lines of its log; the next question may come within no time."""
    monkeypatch.setattr(module, "_QUIET", 0.0)
    monkeypatch.setattr(module, "answered", lambda message, resident: message)
    monkeypatch.setattr(Resident, "folder", tmp_path)
    lines: list[str] = []
    it = Worker(Resident(SiloFile(id="a", data="a.jsonl", folder=str(tmp_path))), lines.append)
    assert it.answer(SimpleNamespace()) == SimpleNamespace()
    return it, lines


def test_without_a_selection_there_is_no_page(worker):
    it, lines = worker
    it.idle()
    assert lines == []


def test_a_page_that_cannot_be_written_is_told_once_and_stops_nothing(worker, tmp_path):
    it, lines = worker
    (tmp_path / THRESHOLD).write_text("{")
    it.idle()
    it.idle()
    assert lines == [f"no page (OutputError: {tmp_path}: holds no scores.parquet; run clues score with --out "
                     f"{tmp_path} first.); `clues report {tmp_path}` writes it."]  # fmt: skip


def test_it_is_not_written_while_questions_come(worker, tmp_path, monkeypatch):
    it, lines = worker
    (tmp_path / THRESHOLD).write_text("{")
    monkeypatch.setattr(module, "_QUIET", 60.0)
    it.answer(SimpleNamespace())
    it.idle()
    assert lines == []
