"""The files in experiments/ are settings that can be run, alone and at full size."""

from __future__ import annotations

from pathlib import Path

import pytest

from clues.lab.compare import merged
from clues.methods.registry import method
from clues.settings import CompareSettings, RunSettings, read_toml, validated

FOLDER = Path(__file__).parents[2] / "experiments"
FULL = FOLDER / "full-size.toml"
NAMES = ("models", "models-exact", "federated", "federated-large", "measures", "merges", "kinds/knowledge")
OVERLAYS = [FOLDER / f"{name}.toml" for name in NAMES]
EXPERIMENTS = sorted(path for path in FOLDER.rglob("*.toml") if path not in (FULL, *OVERLAYS))


def name(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").as_posix()


@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_every_experiment_is_valid_alone_and_at_full_size(path):
    for values in (read_toml(path), merged(read_toml(path), read_toml(FULL))):
        chosen = validated(CompareSettings, values.pop("compare"))
        settings = validated(RunSettings, values)
        assert all(method(one) for one in chosen.methods)
        named = [
            *settings.validation,
            *settings.anchors,
            *settings.evaluation.tests,
            *[c.data for c in settings.clients],
        ]
        assert all(file.startswith(f"runs/{name(path)}-{{seed}}-data/") for file in named)
    assert settings.training.steps == 260
    assert settings.lora.r == 16


@pytest.mark.parametrize("also", OVERLAYS, ids=lambda path: path.stem)
@pytest.mark.parametrize("path", EXPERIMENTS, ids=name)
def test_every_experiment_can_train_models_too(path, also):
    values = merged(read_toml(path), read_toml(also))
    chosen = validated(CompareSettings, values.pop("compare"))
    for changes in [variant.changes for variant in chosen.variants] or [{}]:
        for mode in chosen.modes:
            settings = validated(RunSettings, merged(merged(values, {"collaboration": {"mode": mode}}), changes))
            assert "selected" in settings.evaluation.arms


def test_every_file_stands_in_the_tables():
    text = (FOLDER / "README.md").read_text()
    assert [name(path) for path in [*EXPERIMENTS, *OVERLAYS] if f"| `{name(path)}.toml` |" not in text] == []
