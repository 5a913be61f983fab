"""The progress of a training."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from transformers import TrainerCallback

from clues.io.progress import task


class ShowProgress(TrainerCallback):
    """Shows the steps of a training as a task, which ends with this context."""

    trainer: Any = None  # its `loss` is shown

    def __init__(self, what: str) -> None:
        self._what = what
        self._open = ExitStack()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._task = self._open.enter_context(task(self._what, state.max_steps, done=state.global_step))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._task.advance(state.global_step, loss=self.trainer.loss)

    def __enter__(self) -> ShowProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
