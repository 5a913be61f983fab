"""Commands that need no model, and those that will fail for want of a file, import nothing of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from clues.collaboration.ledger import Ledger
from scored import records, scored_folder

HEAVY = ("torch", "transformers", "flwr", "datasets", "plotly", "nicegui", "pandas")
# Runs each command line of its argument, and prints which modules are there afterwards.
SCRIPT = """
import json, sys
from contextlib import redirect_stdout
from clues.cli import app

for line in json.loads(sys.argv[1]):
    with redirect_stdout(sys.stderr):
        app(line, standalone_mode=False)
    print(json.dumps([line, sorted(sys.modules)]))
"""


def imported(lines: list[list[str]]) -> dict[str, set[str]]:
    """By command line: the heavy packages that are imported once it has ended."""
    command = [sys.executable, "-c", SCRIPT, json.dumps(lines)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return {" ".join(line): {*HEAVY} & {*modules} for line, modules in map(json.loads, done.stdout.splitlines())}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine").mkdir()
    return str(scored_folder(tmp_path / "mine", records(9)))


def test_what_needs_no_model_imports_none(folder, tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    Ledger(ledger).write("select", {"facts.checks": ([1], b"{}")})
    light = [["--help"], ["run", "--help"], ["corrupt", "--help"], ["methods"], ["status", folder]]
    light += [["ledger", "verify", str(ledger)], ["suggest", folder]]
    out = ["--out", str(tmp_path / "out")]
    light += [["score", "no.jsonl", "--validation", "no.jsonl", "--anchors", "no.jsonl", *out]]
    light += [["train", "no.jsonl", *out], ["evaluate", "no.jsonl"]]
    light += [["merge", "a", "b", "--weights", "learned", "--data", "no.jsonl", *out]]
    assert imported(light) == {" ".join(line): set() for line in light}
    # Scikit-learn compares samples for the page, and imports pandas.
    page = [["select", folder], ["report", folder]]
    assert all(found <= {"pandas"} for found in imported(page).values())
    after = [["explain", folder, "s3"], ["export", folder, "--format", "trl", "--out", str(tmp_path / "trl")]]
    assert imported(after) == {" ".join(line): set() for line in after}
