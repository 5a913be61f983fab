"""In-run scoring: scores come from the backward pass of the training itself, without a pass over the samples.

The idea is that of In-Run Data Shapley (arXiv 2406.11011). It works with any transformers Trainer of a LoRA model:

    scorer = InRunScorer(trainer, validation=validation, anchors=anchors, settings=settings)
    trainer.add_callback(scorer)
    trainer.train()
    samples, anchors = scorer.columns()
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import TrainerCallback

from clues.data.batches import IGNORED, batches
from clues.data.tokens import Tokens
from clues.errors import ScoringError
from clues.io.files import replace_whole
from clues.models.adapters import lora_modules
from clues.passes.capture import capturing
from clues.passes.directions import by_domain, cosines, direction_lengths, weighted_gradients
from clues.passes.gradients import Gradients, batch_products
from clues.passes.passes import Columns
from clues.settings import ScoringSettings

_ROW = "clues_row"


@dataclass
class _MicroBatch:
    """The micro-batch of the current backward; `factors`: the factor of each sample's loss in the training loss."""

    rows: Tensor
    factors: Tensor
    rate: float
    dot: Tensor
    squared_norm: Tensor


class InRunScorer(TrainerCallback):
    """Scores every sample in each step that uses it, relative to the anchors at that time.

    A sample's gradient is that of its mean response loss at the weights (and under the dropout) of the step; any
    scaling of the loss (batch, accumulation steps, tokens of all micro-batches, fp16's loss scale) is undone. A
    contribution is (s − mean_a s_a) / std_a s_a, with s the similarity to the latest validation direction and s_a that
    of the anchors when that direction was computed, so that samples seen early and late are comparable. Contributions
    are averaged with weights that grow with the step, because early gradients carry little information.

    Args:
        trainer: its loss must be the token mean of the labels (transformers' own), or it must have the class attribute
            `loss_counts = "samples"` for a mean of per-sample means. Its data set and collator are wrapped.
        validation, anchors: public samples, tokenized as in the training.
        settings: similarity, modules, domain weights, refreshes.
        keep: a folder for the scorer's state at every step that the trainer saves, so that a training can resume.
    """

    def __init__(
        self,
        trainer: Any,
        *,
        validation: Sequence[Tokens],
        anchors: Sequence[Tokens],
        settings: ScoringSettings,
        keep: Path | None = None,
    ) -> None:
        self._trainer, self._settings, self._keep = trainer, settings, keep
        self._validation, self._anchors = validation, anchors
        self._modules = lora_modules(trainer.model, settings.modules)
        target = by_domain(validation, settings.domain_weights)
        self._domains, self._shares = target.names, target.shares[:, 1:]  # the total, then each domain
        self._gradients = Gradients(trainer.model, self._modules, reduction=settings.loss_reduction)
        self._directions: dict[str, Tensor] = {}
        self._current: _MicroBatch | None = None
        columns = self._shares.shape[1]
        self._state = {
            "sum": torch.zeros(len(trainer.train_dataset), columns),
            "weight": torch.zeros(len(trainer.train_dataset)),
            "dot": torch.zeros(len(trainer.train_dataset)),
            "anchor_sum": torch.zeros(len(anchors), columns),
            "anchor_weight": torch.zeros(1),
            "anchor_dot": torch.zeros(len(anchors)),
            "anchor_mean": torch.zeros(columns),
            "anchor_std": torch.ones(columns),
        }
        self._wrap()

    def columns(self) -> tuple[Columns, Columns]:
        """(samples, anchors): the columns `score`, one per domain, and `paper`, Σ η ⟨∇ℓ, v⟩ over a sample's uses.

        Raises:
            ScoringError: a sample was in no training step.
        """
        unused = int((self._state["weight"] == 0).sum())
        if unused:
            raise ScoringError(f"in-run: {unused} samples were in no training step; train for at least one epoch.")
        samples = self._state["sum"] / self._state["weight"][:, None]
        anchors = self._state["anchor_sum"] / self._state["anchor_weight"]
        return self._named(samples, self._state["dot"]), self._named(anchors, self._state["anchor_dot"])

    def _named(self, values: Tensor, dot: Tensor) -> Columns:
        columns = {domain: values[:, index] for index, domain in enumerate(self._domains, start=1)}
        return {"score": values[:, 0], **columns, self._settings.similarity: values[:, 0], "paper": dot}

    # The Trainer's events

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step:
            self._resume(state.global_step)
        self._capture = capturing(self._trainer.model, self._modules, receive=self._receive)
        self._capture.__enter__()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._capture.__exit__(None, None, None)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._progress = (state.global_step + 1) / state.max_steps
        count = min(self._settings.refreshes, state.max_steps)
        if not self._directions or state.global_step in [round(state.max_steps * r / count) for r in range(count)]:
            self._refresh(state.max_steps / count)

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._settle()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._settle()
        self._save(state.global_step, control)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._save(state.global_step, control)

    # The state, saved before the trainer saves its own: whatever step a training resumes from, it exists

    def _save(self, step: int, control: Any) -> None:
        if self._keep and control.should_save:
            from safetensors.torch import save_file

            state = {**self._state, **{f"v.{n}": t.contiguous() for n, t in self._directions.items()}}
            replace_whole(self._keep / _state_file(step), lambda part: save_file(state, str(part)))

    def _resume(self, step: int) -> None:
        from safetensors.torch import load_file

        file = self._keep / _state_file(step) if self._keep else None
        if file is None or not file.is_file():
            raise ScoringError(
                f"in-run: the scores up to step {step}, from which the training resumes, are not there; train again "
                "from the start, with a folder to keep them in."
            )
        saved = load_file(str(file))
        device = self._modules[0].a.weight.device
        self._directions = {n.removeprefix("v."): t.to(device) for n, t in saved.items() if n.startswith("v.")}
        self._lengths = direction_lengths(self._directions)
        self._state = {n: t for n, t in saved.items() if not n.startswith("v.")}

    # The refresh: validation direction and anchors at the current weights

    def _refresh(self, steps: float) -> None:
        model, settings = self._trainer.model, self._settings
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        for parameter in trained:  # the refresh must leave no gradient behind
            parameter.requires_grad_(False)
        was_training = model.training
        model.eval()
        self._directions = weighted_gradients(self._gradients, self._validation, shares=self._shares, settings=settings)
        self._lengths = direction_lengths(self._directions)
        device = next(iter(self._directions.values())).device
        dot, norm = torch.zeros_like(self._state["anchor_sum"]), torch.zeros(len(self._anchors))
        for batch in batches(self._anchors, batch_size=settings.batch_size, batch_tokens=settings.batch_tokens):
            products = batch_products(self._gradients, batch.to(device), directions=self._directions)
            dot[batch.rows], norm[batch.rows] = products.dot.cpu(), products.squared_norm.sqrt().cpu()
        model.train(was_training)
        for parameter in trained:
            parameter.requires_grad_(True)
        similar = self._similarity(dot, norm)
        self._state["anchor_mean"] = similar.mean(0)
        self._state["anchor_std"] = similar.std(0, correction=0).clamp(min=torch.finfo(torch.float32).tiny)
        self._state["anchor_sum"] += self._progress * self._relative(similar)
        self._state["anchor_weight"] += self._progress
        self._state["anchor_dot"] += steps * self._rate() * dot[:, 0]

    # The step: per-sample gradients from the training's backward

    def _wrap(self) -> None:
        trainer = self._trainer
        if hasattr(
            trainer.train_dataset, "column_names"
        ):  # a datasets.Dataset: drop columns that the model does not take
            trainer.train_dataset = trainer._remove_unused_columns(trainer.train_dataset, description="training")
        trainer.args.remove_unused_columns = False
        trainer.train_dataset = _Numbered(trainer.train_dataset)
        collate, compute_loss = trainer.data_collator, trainer.compute_loss

        def numbered(features: list[dict[str, Any]]) -> dict[str, Any]:
            rows = [feature.pop(_ROW) for feature in features if _ROW in feature]
            batch: dict[str, Any] = collate(features)
            return {**batch, _ROW: torch.tensor(rows)} if rows else batch

        def observed(model: Any, inputs: dict[str, Any], *arguments: Any, **options: Any) -> Any:
            rows = inputs.pop(_ROW, None)
            if rows is not None and model.training:
                self._begin(rows, inputs["labels"], items=options.get("num_items_in_batch"))
            return compute_loss(model, inputs, *arguments, **options)

        trainer.data_collator, trainer.compute_loss = numbered, observed

    def _begin(self, rows: Tensor, labels: Tensor, *, items: Any) -> None:
        self._settle()
        counts = (labels[:, 1:] != IGNORED).sum(1).float()
        steps = getattr(self._trainer, "current_gradient_accumulation_steps", 1)
        if getattr(self._trainer, "loss_counts", "tokens") == "samples":
            factors = torch.full_like(counts, 1 / (len(rows) * steps))
        elif items is not None and self._trainer.model_accepts_loss_kwargs:
            factors = counts / float(items)
        else:
            factors = counts / (counts.sum() * steps)
        scaler = getattr(self._trainer.accelerator, "scaler", None)
        if scaler is not None:
            factors = factors * scaler.get_scale()
        dot = torch.zeros(len(rows), self._shares.shape[1], device=labels.device)
        norm = torch.zeros(len(rows), device=labels.device)
        self._current = _MicroBatch(rows.cpu(), factors, self._rate(), dot, norm)

    def _receive(self, name: str, gradient: Tensor) -> None:
        if self._current is None:  # the backward of a refresh
            return
        flat = gradient.flatten(1)
        self._current.dot.add_(flat @ self._directions[name].flatten(1).T)
        self._current.squared_norm.add_(flat.square().sum(1))

    def _settle(self) -> None:
        if self._current is None:
            return
        batch, self._current = self._current, None
        dot = (batch.dot / batch.factors[:, None]).cpu()
        norm = (batch.squared_norm.sqrt() / batch.factors).cpu()
        similar = self._relative(self._similarity(dot, norm))
        self._state["sum"].index_add_(0, batch.rows, self._progress * similar)
        self._state["weight"].index_add_(0, batch.rows, torch.full((len(batch.rows),), self._progress))
        self._state["dot"].index_add_(0, batch.rows, batch.rate * dot[:, 0])

    def _similarity(self, dot: Tensor, norm: Tensor) -> Tensor:
        return dot if self._settings.similarity == "dot" else cosines(dot, norm, self._lengths)

    def _relative(self, similar: Tensor) -> Tensor:
        return (similar - self._state["anchor_mean"]) / self._state["anchor_std"]

    def _rate(self) -> float:
        return float(self._trainer.optimizer.param_groups[0]["lr"])


def _state_file(step: int) -> str:
    return f"step-{step:06d}.safetensors"


class _Numbered(torch.utils.data.Dataset[dict[str, Any]]):
    """A data set whose rows hold their number."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return {**self._rows[row], _ROW: row}
