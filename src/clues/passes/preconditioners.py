"""Maps from a gradient to the optimizer's update direction (CLUES, arXiv 2507.03004, Adam form)."""

from __future__ import annotations

import torch
from torch import Tensor

from clues.errors import ConfigError
from clues.models.trajectory import Checkpoint
from clues.passes.gradients import Transform


def preconditioner(name: str, checkpoint: Checkpoint, *, device: torch.device) -> Transform | None:
    """The transform of per-sample gradients at a checkpoint, or None for plain gradients.

    `adam-frozen`: g / (√v̂ + ε) with the stored second moment, linear in g.
    `adam`: Γ(g), AdamW's next update direction for gradient g, with bias correction.

    Raises:
        ConfigError: the trajectory holds no optimizer moments.
    """
    if name == "none":
        return None
    if checkpoint.first_moment is None or checkpoint.second_moment is None:
        raise ConfigError(f"scoring.preconditioner: '{name}' needs a trajectory with optimizer moments; use none.")
    first = {key: t.to(device) for key, t in checkpoint.first_moment.items()}
    second = {key: t.to(device) for key, t in checkpoint.second_moment.items()}
    beta1, beta2 = checkpoint.betas
    step, epsilon = checkpoint.optimizer_step, checkpoint.epsilon

    def frozen(key: str, gradient: Tensor) -> Tensor:
        return gradient / ((second[key] / (1 - beta2**step)).sqrt() + epsilon)

    def exact(key: str, gradient: Tensor) -> Tensor:
        momentum = (beta1 * first[key] + (1 - beta1) * gradient) / (1 - beta1 ** (step + 1))
        variance = (beta2 * second[key] + (1 - beta2) * gradient.square()) / (1 - beta2 ** (step + 1))
        return momentum / (variance.sqrt() + epsilon)

    return frozen if name == "adam-frozen" else exact
