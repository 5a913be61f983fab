"""Metrics of a training to TensorBoard, Weights & Biases and MLflow, by the Trainer's own integrations."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

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
def reported(names: Sequence[str], folder: Path) -> Iterator[None]:
    """Let the integrations write to `folder`, unless the environment names another place.

    W&B and MLflow have one run per process, which the Trainer leaves open: the next training, which may be another
    client's, would go on with it. A run that the caller has opened is left alone.
    """
    places = {
        "TENSORBOARD_LOGGING_DIR": str(folder),
        "WANDB_DIR": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder.resolve() / 'mlflow.db'}",  # MLflow 3 refuses folders
    }
    added = {name: place for name, place in places.items() if name not in os.environ}
    callers = {name for name in names if _open_run(name)}
    os.environ.update(added)
    failed = True
    try:
        yield
        failed = False
    finally:
        for name in names:
            if name not in callers and _open_run(name):
                _end_run(name, failed=failed)
        for name in added:
            os.environ.pop(name, None)


def _open_run(name: str) -> Any:
    """The run that a package has open in this process, if it is loaded and has one."""
    package: Any = sys.modules.get(name)
    if package is None or name == "tensorboard":
        return None
    return package.run if name == "wandb" else package.active_run()


def _end_run(name: str, *, failed: bool) -> None:
    package: Any = sys.modules[name]
    if name == "wandb":
        package.finish(exit_code=int(failed))
        package.teardown()  # or it remembers WANDB_DIR
    else:
        package.end_run("FAILED" if failed else "FINISHED")
