"""LoRA fine-tuning: the mean over samples of each sample's mean response loss, by transformers' Trainer."""

from __future__ import annotations

import logging
import math
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed

from clues.data.batches import pad
from clues.data.tokens import Tokens
from clues.errors import TrainingError
from clues.models.adapters import AdapterState, adapter_state, attached
from clues.models.base import Base
from clues.models.likelihood import sample_losses
from clues.models.trajectory import spaced
from clues.settings import LoraSettings, TrainingSettings
from clues.training.callbacks import ShowProgress
from clues.training.recorder import RecordTrajectory
from clues.training.reporting import check_reporting, reported

Watch = Callable[[Trainer], TrainerCallback]


@dataclass(frozen=True, kw_only=True)
class Training:
    """The parameters of a fine-tuning, without base and samples.

    `initial`: the adapter to start from; by default, a seeded one. `in_order`: pass over the samples once, in the given
    order; otherwise they are shuffled in every epoch. `proximal_mu`: the weight μ of FedProx's term
    μ/2 ‖φ − φ_initial‖² (arXiv 1812.06127). `what`: its name in the progress display. `logs`: the folder for
    what `report_to` names; without it, nothing is reported.
    """

    lora: LoraSettings
    settings: TrainingSettings
    seed: int
    initial: Mapping[str, Tensor] | None = None
    in_order: bool = False
    proximal_mu: float = 0.0
    what: str = "training"
    logs: Path | None = None

    @property
    def facts(self) -> list[Any]:
        """What identifies this training, for a digest."""
        initial = None if self.initial is None else dict(self.initial)
        settings = self.settings.model_copy(update={"report_to": []})  # it does not change the adapter
        return [self.lora, settings, self.seed, initial, self.in_order, self.proximal_mu]

    @property
    def reports(self) -> list[str]:
        return list(self.settings.report_to) if self.logs else []

    @property
    def slug(self) -> str:
        """`what` as the name of a folder."""
        return re.sub(r"\W+", "-", self.what).strip("-")

    @property
    def length(self) -> TrainingSettings:
        return self.settings.model_copy(update={"epochs": 1.0, "steps": None}) if self.in_order else self.settings


def fit(
    base: Base,
    tokens: Sequence[Tokens],
    *,
    training: Training,
    trajectory: Path | None = None,
    watch: Watch | None = None,
) -> AdapterState:
    """Fine-tune an adapter and return its tensors.

    Args:
        trajectory: folder for the checkpoints φ_t; an interrupted training resumes from the last of them.
        watch: makes one more callback from the Trainer.

    Raises:
        TrainingError: there are no samples, or the loss is not finite.
        ConfigError: a package that `report_to` names is not installed.
    """
    check_reporting(training.reports)
    if not tokens:
        raise TrainingError(f"{training.what}: no samples are left to train on; loosen the threshold.")
    with (
        attached(base, training.lora, training.initial, training.seed) as model,
        tempfile.TemporaryDirectory() as scratch,
        ShowProgress(training.what) as progress,
        reported(training.reports, training.logs / training.slug) if training.logs else nullcontext(),
    ):
        set_seed(training.seed)
        _trainable_adapter(model)
        callbacks: list[TrainerCallback] = [progress]
        if trajectory is not None:
            steps = spaced(total_steps(len(tokens), training.length), training.length.checkpoints)
            callbacks.append(RecordTrajectory(model, trajectory, lora=training.lora, base=base, snapshots=steps))
        folder = trajectory / ".resume" if trajectory else Path(scratch)
        trainer = _LossPerSample(
            model=model,
            args=_arguments(folder, base, training=training, samples=len(tokens)),
            train_dataset=_Dataset(tokens),
            data_collator=_collate,
            callbacks=callbacks,
        )
        progress.trainer = trainer
        trainer.proximal_mu, trainer.in_order = training.proximal_mu, training.in_order
        if watch:
            trainer.add_callback(watch(trainer))
        trainer.remove_callback(_printer())
        trainer.train(resume_from_checkpoint=_resumable(trajectory))
        if trajectory is not None:
            shutil.rmtree(trajectory / ".resume", ignore_errors=True)
        return adapter_state(model)


class _LossPerSample(Trainer):
    """Trainer with our loss: every sample has the same weight, whatever the length of its response."""

    proximal_mu = 0.0
    in_order = False
    loss: float | None = None  # of the last micro-batch
    loss_counts = "samples"

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.model_accepts_loss_kwargs = False  # our loss is a mean; Trainer divides by accumulation steps
        self._start = {n: p.detach().clone() for n, p in self.model.named_parameters() if p.requires_grad}

    def _get_train_sampler(self, *arguments: Any, **options: Any) -> Any:
        if self.in_order:
            return torch.utils.data.SequentialSampler(self.train_dataset)
        return super()._get_train_sampler(*arguments, **options)

    def compute_loss(self, model: Any, inputs: dict[str, Tensor], *_: Any, **__: Any) -> Tensor:
        loss = sample_losses(model, inputs["input_ids"], inputs["attention_mask"], inputs["labels"]).mean()
        self.loss = loss.item()
        if not math.isfinite(self.loss):
            raise TrainingError(
                f"training: the loss is {self.loss} at step {self.state.global_step + 1}; "
                "lower training.learning_rate or use model.dtype float32."
            )
        if self.proximal_mu:
            distance = sum((p - self._start[n]).square().sum() for n, p in model.named_parameters() if p.requires_grad)
            loss = loss + self.proximal_mu / 2 * distance
        return loss


class _Dataset(torch.utils.data.Dataset[dict[str, Any]]):
    def __init__(self, tokens: Sequence[Tokens]) -> None:
        self._tokens = tokens

    def __len__(self) -> int:
        return len(self._tokens)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {"tokens": self._tokens[row]}


def _collate(rows: list[dict[str, Any]]) -> dict[str, Tensor]:
    batch = pad([row["tokens"] for row in rows])
    return {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask, "labels": batch.labels}


def _trainable_adapter(model: Any) -> None:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)


def total_steps(samples: int, settings: TrainingSettings) -> int:
    if settings.steps:
        return settings.steps
    batches = math.ceil(samples / settings.batch_size)
    return max(1, math.ceil(settings.epochs * math.ceil(batches / settings.gradient_accumulation)))


def _arguments(folder: Path, base: Base, *, training: Training, samples: int) -> TrainingArguments:
    settings = training.length
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=settings.steps or -1,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.gradient_accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type="constant_with_warmup" if settings.schedule == "constant" else settings.schedule,
        # As a number of steps: the Trainer reads 1.0 as one step.
        warmup_steps=math.ceil(settings.warmup_share * total_steps(samples, settings)),
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        optim="adamw_torch",
        seed=training.seed,
        data_seed=training.seed,
        use_cpu=base.device.type == "cpu",
        save_strategy="no",
        save_total_limit=1,
        logging_strategy="steps" if training.reports else "no",
        logging_steps=1,
        report_to=training.reports,
        run_name=training.what,
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=base.device.type == "cuda",
    )
    if arguments.n_gpu > 1:
        arguments._n_gpu = 1  # one process trains on one GPU; Trainer would split batches with nn.DataParallel
    return arguments


def _printer() -> type:
    from transformers import PrinterCallback

    logging.getLogger("transformers.trainer").setLevel(logging.ERROR)
    return PrinterCallback


def _resumable(trajectory: Path | None) -> str | None:
    """The last complete state of an interrupted training, or None."""
    if trajectory is None:
        return None
    states = [path.parent for path in trajectory.glob(".resume/checkpoint-*/trainer_state.json")]
    recorded = {int(path.name.split("-")[1]) for path in trajectory.glob("checkpoint-*") if path.is_dir()}
    usable = [state for state in states if int(state.name.split("-")[1]) in recorded]
    return str(max(usable, key=lambda state: int(state.name.split("-")[1]))) if usable else None
