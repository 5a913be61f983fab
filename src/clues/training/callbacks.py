"""What a person sees of a training."""

from __future__ import annotations

import sys
import time
from typing import Any

from transformers import TrainerCallback

from clues.progress import bar, say


class ShowProgress(TrainerCallback):
    """A bar with the time left in a terminal, a line now and then in a log."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._bar: Any = None
        self._told = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._told = time.monotonic()
        if sys.stderr.isatty():
            self._bar = bar()
            self._bar.start()
            self._task = self._bar.add_task(self._what, total=state.max_steps, completed=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._bar:
            self._bar.update(self._task, completed=state.global_step)
        elif time.monotonic() - self._told >= 30:
            self._told = time.monotonic()
            say(f"{self._what}: step {state.global_step} of {state.max_steps}")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._bar:
            self._bar.stop()
