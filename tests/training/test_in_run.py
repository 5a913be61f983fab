"""Scores read off the training's own backward, against plain autograd and against the batch gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

import clues.training.fit as fitting
from bundles import fit, job, state_digest
from clues.data.batches import pad
from clues.data.prompts import tokenize
from clues.data.samples import read_samples
from clues.errors import ScoringError
from clues.models.adapters import attached
from clues.settings import DataSettings, LoraSettings, ScoringSettings, TrainingSettings
from clues.silo.silo import Silo
from clues.training.in_run import InRunScorer

LORA = LoraSettings(r=2)
TRAINING = TrainingSettings(epochs=2, batch_size=4, learning_rate=1e-2, checkpoints=3)
SETTINGS = ScoringSettings(walk="in-run", refreshes=2)


@pytest.fixture
def parts(base, write_samples):
    files = (("train.jsonl", 10), ("val.jsonl", 3), ("anchors.jsonl", 4))
    return [
        tokenize(read_samples(write_samples(name, count)), base, DataSettings(max_tokens=200)) for name, count in files
    ]


def in_run(base, parts, folder):
    samples, validation, anchors = parts
    return Silo(job(base, samples, anchors, validation, lora=LORA, training=TRAINING, scoring=SETTINGS), folder=folder)


def plain(model, sample) -> torch.Tensor:
    batch = pad([sample])
    model.zero_grad()
    model(input_ids=batch.input_ids, labels=batch.labels).loss.backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).double()


def test_each_contribution_is_the_inner_product_of_plain_autograd(base, parts):
    samples, validation, anchors = parts
    start = fit(base, LORA, samples, TRAINING, seed=1)
    once = TRAINING.model_copy(update={"steps": 1, "batch_size": 5, "gradient_accumulation": 2, "checkpoints": 1})
    scorers = []

    def watch(trainer):
        scorers.append(InRunScorer(trainer, validation=validation, anchors=anchors, settings=SETTINGS))
        return scorers[0]

    fit(base, LORA, samples, once, seed=1, initial=start, watch=watch)
    own, public = scorers[0].columns()
    with attached(base, LORA, start) as model:
        fitting._trainable_adapter(model)
        model.eval()
        v = torch.stack([plain(model, sample) for sample in validation]).mean(0)
        for rows, found in ((samples, own), (anchors, public)):
            g = torch.stack([plain(model, sample) for sample in rows])
            wanted = 1e-2 * g @ v
            assert (found["paper"].double() - wanted).abs().max() <= 1e-5 * wanted.abs().max()
        cosine = torch.cosine_similarity(torch.stack([plain(model, s) for s in samples]), v[None])
        reference = torch.cosine_similarity(torch.stack([plain(model, s) for s in anchors]), v[None])
    relative = (cosine - reference.mean()) / reference.std(correction=0)
    assert torch.allclose(own["score"].double(), relative, atol=1e-4)
    assert public["score"].mean().abs() < 1e-5


class CompareWithBatchGradient(TrainerCallback):
    """⟨the gradient the optimizer gets, v⟩ = Σ over the step's samples of factor · ⟨∇ℓ_i, v⟩."""

    def __init__(self, scorer: InRunScorer) -> None:
        self.scorer, self.errors, self.seen = scorer, [], 0.0
        settle = scorer._settle

        def observed() -> None:
            if scorer._current is not None:
                self.seen += float(scorer._current.dot[:, 0].sum())
            settle()

        scorer._settle = observed

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        self.scorer._settle()
        total = 0.0
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                key = name.replace(".default.weight", ".weight")
                total += float((parameter.grad * self.scorer._directions[key][0]).sum())
        self.errors.append(abs(total - self.seen) / abs(total))
        self.seen = 0.0


@pytest.mark.parametrize("variant", ["plain", "dropout", "checkpointing", "accumulation", "everything"])
def test_on_any_trainer_the_contributions_add_up_to_its_gradient(base, parts, variant, tmp_path):
    samples, validation, anchors = parts
    every = variant == "everything"
    lora = LORA.model_copy(update={"dropout": 0.3 if every or variant == "dropout" else 0.0})
    start = fit(base, LORA, samples, TRAINING, seed=1)
    rows = [{"number": n} for n in range(len(samples))]

    def collate(features):
        batch = pad([samples[f["number"]] for f in features])
        return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}

    arguments = TrainingArguments(
        output_dir=str(tmp_path),
        max_steps=3,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2 if every or variant == "accumulation" else 1,
        gradient_checkpointing=every or variant == "checkpointing",
        gradient_checkpointing_kwargs={"use_reentrant": False},
        max_grad_norm=1e9,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        save_strategy="no",
    )
    with attached(base, lora, start) as model:
        fitting._trainable_adapter(model)
        trainer = Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate)
        scorer = InRunScorer(trainer, validation=validation, anchors=anchors, settings=SETTINGS)
        compare = CompareWithBatchGradient(scorer)
        trainer.add_callback(scorer)
        trainer.add_callback(compare)
        trainer.train()
        base.model.gradient_checkpointing_disable()
    assert len(compare.errors) == 3
    assert max(compare.errors) < 1e-4


def test_watching_changes_nothing_of_the_training(base, parts):
    samples, validation, anchors = parts
    lora = LORA.model_copy(update={"dropout": 0.1})
    alone = fit(base, lora, samples, TRAINING, seed=1)
    watched = fit(
        base,
        lora,
        samples,
        TRAINING,
        seed=1,
        watch=lambda t: InRunScorer(t, validation=validation, anchors=anchors, settings=SETTINGS),
    )
    assert all(torch.equal(alone[name], watched[name]) for name in alone)


class Kill(fitting.ShowProgress):
    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 3:
            raise KeyboardInterrupt


class KillAfterSaving(fitting.ShowProgress):
    def on_save(self, args, state, control, **_):
        raise KeyboardInterrupt


@pytest.mark.parametrize("kill", [Kill, KillAfterSaving])
def test_a_killed_run_ends_with_the_same_scores(base, parts, tmp_path, monkeypatch, kill):
    def tables(folder):
        scored = in_run(base, parts, folder).score()
        return scored.samples, scored.anchors

    whole = tables(tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(fitting, "ShowProgress", kill)
        tables(tmp_path / "killed")
    again = tables(tmp_path / "killed")
    for one, two in zip(whole, again, strict=True):
        assert all(np.array_equal(one[name], two[name]) for name in one.names)


def test_a_training_that_fails_leaves_the_base_bare(base, parts, tmp_path, monkeypatch):
    before = state_digest(base.model)
    monkeypatch.setattr(fitting, "ShowProgress", Kill)
    with pytest.raises(KeyboardInterrupt):
        in_run(base, parts, tmp_path).score()
    assert state_digest(base.model) == before


def test_a_training_that_resumes_without_its_scores_is_refused(base, parts):
    samples, validation, anchors = parts

    class Resumed(TrainerCallback):
        """As if a trainer went on at step 2."""

        def on_train_begin(self, args, state, control, **_):
            state.global_step = 2

    scorers = []

    def watch(trainer):
        trainer.add_callback(Resumed())
        scorers.append(InRunScorer(trainer, validation=validation, anchors=anchors, settings=SETTINGS))
        return scorers[0]

    with pytest.raises(ScoringError, match="the scores up to step 2, from which the training resumes, are not there"):
        fit(base, LORA, samples, TRAINING, 1, watch=watch)


def test_samples_that_no_step_used_are_told(base, parts):
    samples, validation, anchors = parts
    scorers = []

    def watch(trainer):
        scorers.append(InRunScorer(trainer, validation=validation, anchors=anchors, settings=SETTINGS))
        return scorers[0]

    fit(base, LORA, samples, TRAINING.model_copy(update={"steps": 1}), seed=1, watch=watch)
    with pytest.raises(ScoringError, match="6 samples were in no training step"):
        scorers[0].columns()
