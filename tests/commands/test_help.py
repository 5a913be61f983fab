from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from clues.cli import app
from clues.lab.corruption import KINDS

DOCS = Path(__file__).parents[2] / "docs/concepts.md"


@pytest.mark.parametrize("command", ["corrupt", "partition"])
def test_the_help_lists_every_corruption_type(command):
    shown = CliRunner().invoke(app, [command, "--help"], terminal_width=100).output
    lines = [line.split(maxsplit=1) for line in shown.splitlines()]
    for name, kind in KINDS.items():
        assert [name, kind.title] in [[part.strip() for part in line] for line in lines]


def test_the_documentation_lists_every_corruption_type():
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [f"| `{name}` | {kind.title} |" for name, kind in KINDS.items()]


def test_help_shows_examples(clues):
    for command in (
        "demo",
        "run",
        "score",
        "select",
        "report",
        "train",
        "merge",
        "evaluate",
        "corrupt",
        "validate",
        "compare",
        "partition",
        "suggest",
        "review",
    ):
        assert "Example: clues " + command in clues(command, "--help").output
