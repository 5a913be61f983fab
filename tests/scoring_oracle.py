"""Scores by plain autograd, one sample at a time: what the batched ones are held against."""

from __future__ import annotations

import torch

from clues.data.tokens import Tokens
from clues.models.adapters import adapter_state, attached
from clues.models.trajectory import Checkpoint
from clues.settings import LoraSettings

LORA = LoraSettings(r=4, target_modules=["q_proj", "v_proj", "down_proj"])


def tokens(count: int, seed: int, domain: str = "d", prefix: str = "s") -> list[Tokens]:
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(count):
        length = int(torch.randint(6, 24, (1,), generator=generator))
        start = int(torch.randint(1, length - 2, (1,), generator=generator))
        ids = torch.randint(2, 200, (length,), generator=generator).tolist()
        rows.append(Tokens(f"{prefix}{number}", domain, ids, start, False))
    return rows


def random_state(base, seed=3):
    """An adapter with B ≠ 0, as after some training."""
    with attached(base, LORA, seed=seed) as model:
        generator = torch.Generator().manual_seed(seed)
        return {n: torch.randn(t.shape, generator=generator) * 0.1 for n, t in adapter_state(model).items()}


def plain_gradient(model, sample: Tokens) -> dict[str, torch.Tensor]:
    """∇ℓ of one sample by transformers' own loss and autograd, by PEFT's tensor names."""
    ids = torch.tensor([sample.input_ids])
    labels = ids.clone()
    labels[0, : sample.response_start] = -100
    model.zero_grad()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)
    model(input_ids=ids, labels=labels).loss.backward()
    return {
        n.replace(".default.weight", ".weight"): p.grad.clone()
        for n, p in model.named_parameters()
        if p.grad is not None
    }


def flat(gradient: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([gradient[name].flatten() for name in sorted(gradient)]).double()


def checkpoint(base, rate=0.5, seed=3) -> Checkpoint:
    state = random_state(base, seed)
    generator = torch.Generator().manual_seed(9)
    return Checkpoint(
        state=state,
        learning_rate=rate,
        optimizer_step=7,
        first_moment={n: torch.randn(t.shape, generator=generator) * 1e-2 for n, t in state.items()},
        second_moment={n: torch.rand(t.shape, generator=generator) * 1e-4 for n, t in state.items()},
    )


def transformed(point: Checkpoint, name: str, gradient: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if name == "none":
        return gradient
    (b1, b2), step = point.betas, point.optimizer_step
    result = {}
    for key, g in gradient.items():
        m, v = point.first_moment[key], point.second_moment[key]
        if name == "adam-frozen":
            result[key] = g / ((v / (1 - b2**step)).sqrt() + point.epsilon)
        else:
            top = (b1 * m + (1 - b1) * g) / (1 - b1 ** (step + 1))
            result[key] = top / (((b2 * v + (1 - b2) * g**2) / (1 - b2 ** (step + 1))).sqrt() + point.epsilon)
    return result
