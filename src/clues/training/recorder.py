"""Recording the trajectory during training: adapter, mean learning rate and AdamW moments at selected steps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import TrainerCallback

from clues.io.files import read_json, write_json
from clues.models.adapters import adapter_state
from clues.models.base import Base
from clues.models.trajectory import Checkpoint, save_checkpoint
from clues.settings import LoraSettings


class RecordTrajectory(TrainerCallback):
    """Writes `checkpoint-STEP` folders at the steps `snapshots`, and lets the Trainer save its own state then."""

    def __init__(self, model: Any, folder: Path, *, lora: LoraSettings, base: Base, snapshots: Sequence[int]) -> None:
        self._model, self._folder, self._lora, self._base = model, folder, lora, base
        self._snapshots = list(snapshots)
        self._rates_file = folder / ".learning-rates.json"
        self._rates: list[float] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step and self._rates_file.is_file():
            self._rates = read_json(self._rates_file)[: state.global_step]

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **things: Any) -> None:
        self._rates.append(things["optimizer"].param_groups[0]["lr"])

    def on_step_end(self, args: Any, state: Any, control: Any, **things: Any) -> None:
        if state.global_step not in self._snapshots:
            return
        previous = max((step for step in self._snapshots if step < state.global_step), default=0)
        rates = self._rates[previous:]
        optimizer = getattr(things["optimizer"], "optimizer", things["optimizer"])
        moments = {
            _state_name(name): optimizer.state[parameter]
            for name, parameter in self._model.named_parameters()
            if parameter in optimizer.state
        }
        group = optimizer.param_groups[0]
        checkpoint = Checkpoint(
            state=adapter_state(self._model),
            learning_rate=sum(rates) / len(rates),
            optimizer_step=state.global_step,
            first_moment={name: _cpu(m["exp_avg"]) for name, m in moments.items()},
            second_moment={name: _cpu(m["exp_avg_sq"]) for name, m in moments.items()},
            betas=(float(group["betas"][0]), float(group["betas"][1])),
            epsilon=float(group["eps"]),
        )
        write_json(self._rates_file, self._rates)
        save_checkpoint(checkpoint, self._lora, self._base, self._folder / f"checkpoint-{state.global_step:06d}")
        control.should_save = state.global_step < state.max_steps


def _state_name(parameter_name: str) -> str:
    """PEFT's name of a tensor in a saved adapter, from the parameter's name in the model."""
    return parameter_name.replace(".default.weight", ".weight")


def _cpu(tensor: Tensor) -> Tensor:
    return tensor.detach().float().cpu().clone()
