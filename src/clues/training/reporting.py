"""Metrics of a training to TensorBoard, Weights & Biases and MLflow, by the Trainer's own integrations."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from clues.errors import ConfigError


def check_reporting(names: Sequence[str]) -> None:
    """Raises ConfigError if a package is missing that `training.report_to` names."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"training.report_to: needs {', '.join(missing)}, which is not installed; run pip install "
            f"{' '.join(missing)}, or leave it out."
        )


@contextmanager
def logs_in(folder: Path) -> Iterator[None]:
    """Let the integrations write to `folder`, unless the environment names another place."""
    places = {
        "TENSORBOARD_LOGGING_DIR": str(folder),
        "WANDB_DIR": str(folder),
        "MLFLOW_TRACKING_URI": (folder / "mlruns").resolve().as_uri(),
    }
    added = {name: place for name, place in places.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
