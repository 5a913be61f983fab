"""CLUES: score private fine-tuning data by gradients, keep the good samples, train together.

from clues import ScoreSettings, SelectionSettings, score, select

score(ScoreSettings(samples="mixed.jsonl", validation=["val.jsonl"], anchors=["anchors.jsonl"]), Path("runs/mine"))
select(Path("runs/mine"), SelectionSettings())
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from clues.version import __version__ as __version__

if TYPE_CHECKING:
    from clues.commands.run import run as run
    from clues.commands.score import score as score
    from clues.commands.select_from import select as select
    from clues.commands.train import evaluate_file as evaluate_file
    from clues.commands.train import merge_folders as merge_folders
    from clues.commands.train import train as train
    from clues.errors import CluesError as CluesError
    from clues.lab.corruption import corrupt_file as corrupt_file
    from clues.settings import CorruptSettings as CorruptSettings
    from clues.settings import EvaluateSettings as EvaluateSettings
    from clues.settings import MergeSettings as MergeSettings
    from clues.settings import RunSettings as RunSettings
    from clues.settings import ScoreSettings as ScoreSettings
    from clues.settings import SelectionSettings as SelectionSettings
    from clues.settings import TrainSettings as TrainSettings
    from clues.silo.datasets import SelectCallback as SelectCallback
    from clues.silo.silo import Silo as Silo
    from clues.silo.silo import select_records as select_records
    from clues.training.in_run import InRunScorer as InRunScorer

# Imported on first use, so that `import clues` does not import torch.
_HOMES = {
    "CorruptSettings": "settings",
    "EvaluateSettings": "settings",
    "MergeSettings": "settings",
    "RunSettings": "settings",
    "ScoreSettings": "settings",
    "SelectionSettings": "settings",
    "TrainSettings": "settings",
    "CluesError": "errors",
    "InRunScorer": "training.in_run",
    "SelectCallback": "silo.datasets",
    "Silo": "silo.silo",
    "corrupt_file": "lab.corruption",
    "evaluate_file": "commands.train",
    "merge_folders": "commands.train",
    "run": "commands.run",
    "score": "commands.score",
    "select": "commands.select_from",
    "select_records": "silo.silo",
    "train": "commands.train",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'clues' has no attribute '{name}'")
    return getattr(importlib.import_module(f"clues.{_HOMES[name]}"), name)
