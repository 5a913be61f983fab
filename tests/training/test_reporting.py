"""The Trainer's own integrations get the losses, and change nothing else."""

from __future__ import annotations

import os

import pytest

from bundles import fit
from clues.data.prompts import tokenize
from clues.data.samples import read_samples
from clues.errors import ConfigError
from clues.settings import DataSettings, LoraSettings, TrainingSettings
from clues.training import reporting

LORA, TRAINING = LoraSettings(r=2), TrainingSettings(steps=3)
REPORTED = TRAINING.model_copy(update={"report_to": ["tensorboard"]})


@pytest.fixture
def tokens(base, write_samples):
    return tokenize(read_samples(write_samples("train.jsonl", 6)), base, DataSettings())


def test_tensorboard_has_every_loss_and_the_adapter_is_the_same(base, tokens, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    silent = fit(base, LORA, tokens, TRAINING, 1)
    reported = fit(base, LORA, tokens, REPORTED, 1, logs=tmp_path, what="training on 'all' (6)")
    assert all(reported[name].equal(tensor) for name, tensor in silent.items())
    events = EventAccumulator(str(tmp_path / "training-on-all-6"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2, 3]
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ


def test_without_a_folder_nothing_is_reported(base, tokens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(base, LORA, tokens, REPORTED, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["train.jsonl"]


def test_a_missing_package_is_one_sentence(base, tokens, tmp_path, monkeypatch):
    monkeypatch.setattr(reporting, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"^training.report_to: needs tensorboard, .* pip install tensorboard"):
        fit(base, LORA, tokens, REPORTED, 1, logs=tmp_path)


def test_the_environment_comes_first(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_DIR", "elsewhere")
    with reporting.reported(["tensorboard"], tmp_path):
        assert os.environ["WANDB_DIR"] == "elsewhere" and os.environ["TENSORBOARD_LOGGING_DIR"] == str(tmp_path)
    assert os.environ["WANDB_DIR"] == "elsewhere" and "MLFLOW_TRACKING_URI" not in os.environ


def test_every_training_has_an_mlflow_run_of_its_own(base, tokens, tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    monkeypatch.chdir(tmp_path)
    settings = TRAINING.model_copy(update={"report_to": ["mlflow"]})
    for what in ("first", "second"):
        fit(base, LORA, tokens, settings, 1, logs=tmp_path / "logs", what=what)
        client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'logs' / what / 'mlflow.db'}")
        (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
        assert (run.info.run_name, run.info.status) == (what, "FINISHED")
        assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [1, 2, 3]
    assert mlflow.active_run() is None


def test_every_training_has_a_wandb_run_of_its_own_and_the_callers_goes_on(base, tokens, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    settings = TRAINING.model_copy(update={"report_to": ["wandb"]})
    for what in ("first", "second"):
        fit(base, LORA, tokens, settings, 1, logs=tmp_path, what=what)
        assert len([*(tmp_path / what / "wandb").glob("offline-run-*")]) == 1
        assert wandb.run is None
    callers = wandb.init(dir=tmp_path)
    fit(base, LORA, tokens, settings, 1, logs=tmp_path, what="third")
    assert wandb.run is callers
    callers.finish()
