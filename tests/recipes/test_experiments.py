"""The files in experiments/ are settings that can be run, alone and at full size."""

from __future__ import annotations

from pathlib import Path

import pytest

from clues.config import CompareSettings, RunSettings, read_toml, validated
from clues.recipes.compare import merged
from clues.scoring.methods import method

FOLDER = Path(__file__).parents[2] / "experiments"
FULL = FOLDER / "full-size.toml"
EXPERIMENTS = sorted(path for path in FOLDER.glob("*.toml") if path != FULL)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_every_experiment_is_valid_alone_and_at_full_size(path):
    for values in (read_toml(path), merged(read_toml(path), read_toml(FULL))):
        chosen = validated(CompareSettings, values.pop("compare"))
        settings = validated(RunSettings, values)
        assert all(method(name) for name in chosen.methods)
        named = [
            *settings.validation,
            *settings.anchors,
            *settings.evaluation.tests,
            *[c.data for c in settings.clients],
        ]
        assert all(name.startswith(f"runs/{path.stem}-{{seed}}-data/") for name in named)
    assert settings.training.steps == 260
    assert settings.lora.r == 16


def test_every_experiment_stands_in_the_table():
    text = (FOLDER / "README.md").read_text()
    assert [path.name for path in EXPERIMENTS if f"| `{path.name}` |" not in text] == []
