"""The training trajectory of an adapter: checkpoints φ_t with mean learning rates η_t and AdamW's moments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clues.errors import ModelError
from clues.io.files import read_json, replace_whole, write_json
from clues.models.adapters import AdapterState, Lora, load_adapter, save_adapter
from clues.models.base import Base


@dataclass(frozen=True)
class Checkpoint:
    """One point of a trajectory.

    `first_moment`, `second_moment`: AdamW's raw moments by the tensor names of `state`, or None. `optimizer_step`: the
    step number for their bias correction.
    """

    state: AdapterState
    learning_rate: float
    optimizer_step: int = 0
    first_moment: AdapterState | None = None
    second_moment: AdapterState | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Trained:
    """A trained adapter and its trajectory."""

    lora: Lora
    checkpoints: Sequence[Checkpoint]

    @property
    def state(self) -> AdapterState:
        """The adapter's final tensors."""
        return self.checkpoints[-1].state


def spaced(total: int, count: int) -> list[int]:
    """Which of `total` steps or rounds, counted from 1, are points of a trajectory: `count` evenly spaced ones.

    The last is among them; if there are fewer, all are points.
    """
    count = min(count, total)
    return [round(total * (index + 1) / count) for index in range(count)]


def save_checkpoint(checkpoint: Checkpoint, lora: Lora, base: Base, folder: Path) -> None:
    """Write a checkpoint atomically."""
    from safetensors.torch import save_file

    def write(part: Path) -> None:
        save_adapter(checkpoint.state, lora, base, part)
        if checkpoint.first_moment and checkpoint.second_moment:
            moments = {f"first.{name}": t for name, t in checkpoint.first_moment.items()}
            moments |= {f"second.{name}": t for name, t in checkpoint.second_moment.items()}
            save_file(moments, str(part / "moments.safetensors"))
        facts = {
            "learning_rate": checkpoint.learning_rate,
            "optimizer_step": checkpoint.optimizer_step,
            "betas": list(checkpoint.betas),
            "epsilon": checkpoint.epsilon,
        }
        write_json(part / "checkpoint.json", facts)

    replace_whole(folder, write)


def load_trajectory(folder: Path, base: Base | None = None) -> Trained:
    """The trajectory in a folder, its checkpoints in order of training.

    Raises:
        ModelError: the folder contains no checkpoint, or one of another base model.
    """
    from safetensors.torch import load_file

    folders = sorted(folder.glob("checkpoint-*/checkpoint.json"))
    if not folders:
        raise ModelError(f"{folder}: contains no checkpoint-* of a trajectory; name the folder that training wrote.")
    checkpoints = []
    for facts_file in folders:
        state, lora = load_adapter(facts_file.parent, base)
        facts = read_json(facts_file)
        moments_file = facts_file.parent / "moments.safetensors"
        try:
            moments = load_file(str(moments_file)) if moments_file.is_file() else {}
        except Exception as error:  # safetensors raises its own errors for broken files
            raise ModelError(f"{moments_file}: cannot be read ({type(error).__name__}); train again.") from None
        checkpoints.append(
            Checkpoint(
                state=state,
                learning_rate=facts["learning_rate"],
                optimizer_step=facts["optimizer_step"],
                first_moment=_part(moments, "first."),
                second_moment=_part(moments, "second."),
                betas=(facts["betas"][0], facts["betas"][1]),
                epsilon=facts["epsilon"],
            )
        )
    return Trained(lora, checkpoints)


def _part(moments: AdapterState, prefix: str) -> AdapterState | None:
    return {name.removeprefix(prefix): t for name, t in moments.items() if name.startswith(prefix)} or None
