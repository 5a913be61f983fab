"""Training with a trajectory: what is recorded, that a killed training goes on, that bad losses stop it."""

from __future__ import annotations

import pytest
import torch

import clues.training.fit as fitting
from bundles import fit
from clues.data.prompts import tokenize
from clues.data.samples import read_samples
from clues.errors import TrainingError
from clues.models.adapters import attached, load_adapter
from clues.models.trajectory import load_trajectory
from clues.settings import DataSettings, LoraSettings, TrainingSettings
from clues.training.fit import total_steps

LORA = LoraSettings(r=2)
TRAINING = TrainingSettings(epochs=2, batch_size=4, learning_rate=1e-2, checkpoints=3)


@pytest.fixture
def tokens(base, write_samples):
    return tokenize(read_samples(write_samples("train.jsonl", 12)), base, DataSettings(max_tokens=200))


def same(left, right) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


def test_training_lowers_the_loss_and_repeats_by_its_seed(base, tokens):
    losses = []
    first = fit(base, LORA, tokens, TRAINING, seed=1)
    for state in (None, first):
        with attached(base, LORA, state, seed=1) as model, torch.no_grad():
            batch = fitting.pad(tokens)
            losses.append(fitting.sample_losses(model, batch.input_ids, batch.attention_mask, batch.labels).mean())
    assert losses[1] < losses[0]
    assert same(first, fit(base, LORA, tokens, TRAINING, seed=1))
    assert not same(first, fit(base, LORA, tokens, TRAINING, seed=2))


def test_the_trajectory_holds_rates_moments_and_the_last_adapter(base, tokens, tmp_path):
    fit(base, LORA, tokens, TRAINING, 1, trajectory=tmp_path / "t")
    checkpoints = load_trajectory(tmp_path / "t", base).checkpoints
    assert [c.optimizer_step for c in checkpoints] == [2, 4, 6]
    # Linear decay from 1e-2 over six steps: 1, 5/6, … of it; each checkpoint holds the mean since the last.
    assert [c.learning_rate for c in checkpoints] == pytest.approx([11 / 12e2, 7 / 12e2, 3 / 12e2])
    for checkpoint in checkpoints:
        assert checkpoint.second_moment.keys() == checkpoint.state.keys()
        assert all((moment >= 0).all() for moment in checkpoint.second_moment.values())
    assert same(checkpoints[-1].state, fit(base, LORA, tokens, TRAINING, seed=1))


def test_moments_are_those_of_adamw_on_the_mean_gradient(base, tokens, tmp_path):
    one_step = TRAINING.model_copy(update={"batch_size": 12, "epochs": 1.0, "checkpoints": 1, "max_grad_norm": 1e9})
    fit(base, LORA, tokens, one_step, 1, trajectory=tmp_path / "t")
    (checkpoint,) = load_trajectory(tmp_path / "t", base).checkpoints
    with attached(base, LORA, seed=1) as model:
        fitting._trainable_adapter(model)
        batch = fitting.pad(tokens)
        fitting.sample_losses(model, batch.input_ids, batch.attention_mask, batch.labels).mean().backward()
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                stored = checkpoint.first_moment[name.replace(".default.weight", ".weight")]
                assert torch.allclose(stored, 0.1 * parameter.grad, rtol=1e-4, atol=1e-8)


class Kill(fitting.ShowProgress):
    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 3:
            raise KeyboardInterrupt


def test_a_killed_training_goes_on_to_the_same_adapter(base, tokens, tmp_path, monkeypatch):
    fit(base, LORA, tokens, TRAINING, 1, trajectory=tmp_path / "whole")
    original = fitting.ShowProgress
    monkeypatch.setattr(fitting, "ShowProgress", Kill)
    with pytest.raises(KeyboardInterrupt):
        fit(base, LORA, tokens, TRAINING, 1, trajectory=tmp_path / "killed")
    steps = []

    class Count(original):
        def on_step_end(self, args, state, control, **things):
            steps.append(state.global_step)

    monkeypatch.setattr(fitting, "ShowProgress", Count)
    fit(base, LORA, tokens, TRAINING, 1, trajectory=tmp_path / "killed")
    assert steps == [3, 4, 5, 6]
    for checkpoint in ("checkpoint-000002", "checkpoint-000004", "checkpoint-000006"):
        one, two = (load_adapter(tmp_path / name / checkpoint)[0] for name in ("whole", "killed"))
        assert same(one, two)
    rates = [[c.learning_rate for c in load_trajectory(tmp_path / n).checkpoints] for n in ("whole", "killed")]
    assert rates[0] == rates[1]
    assert not (tmp_path / "killed" / ".resume").exists()


def test_a_loss_that_is_no_number_stops_with_the_remedy(base, tokens):
    broken = {name: torch.full_like(t, torch.inf) for name, t in fit(base, LORA, tokens, TRAINING, seed=1).items()}
    with pytest.raises(TrainingError, match=r"the loss is nan at step 1; lower training.learning_rate"):
        fit(base, LORA, tokens, TRAINING, seed=1, initial=broken)


def test_nothing_to_train_on(base):
    with pytest.raises(TrainingError, match="no samples are left"):
        fit(base, LORA, [], TRAINING, seed=1)


def test_the_proximal_term_keeps_the_adapter_near_its_start(base, tokens):
    start = fit(base, LORA, tokens, TRAINING, seed=1)

    def distance(mu):
        moved = fit(base, LORA, tokens, TRAINING, seed=2, initial=start, proximal_mu=mu)
        return sum(float((moved[n] - start[n]).square().sum()) for n in start)

    assert distance(10.0) < distance(0.0)


def test_steps_stand_instead_of_epochs(base, tokens, tmp_path):
    settings = TRAINING.model_copy(update={"steps": 4, "checkpoints": 1})
    assert total_steps(len(tokens), settings) == 4
    fit(base, LORA, tokens, settings, 1, trajectory=tmp_path / "t")
    assert [p.name for p in (tmp_path / "t").glob("checkpoint-*")] == ["checkpoint-000004"]
