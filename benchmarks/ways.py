"""The ways written here: a forward pass alone, ours, and the published one.

Each takes the data and a folder for whatever it writes, gets ready (start-up, not timed with the rest), and yields a
function that does the whole work once: the validation directions, then the products, samples × directions.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from setting import Data, frozen
from torch import Tensor

from clues.data.batches import batches, pad
from clues.data.tokens import Tokens
from clues.models.adapters import lora_modules
from clues.models.likelihood import sample_losses
from clues.passes.directions import weighted_gradients
from clues.passes.gradients import Gradients, batch_products

Score = Callable[[], Tensor]
Way = Callable[[Data, Path], AbstractContextManager[Score]]


@contextmanager
def forward_only(data: Data, _: Path) -> Iterator[Score]:
    with frozen(data) as model:

        def run() -> Tensor:
            with torch.no_grad():
                for batch in batches([*data.validation, *data.samples], **data.limits):
                    sample_losses(model, batch.input_ids, batch.attention_mask, batch.labels)
            return torch.zeros(0)

        yield run


@contextmanager
def ours(data: Data, _: Path) -> Iterator[Score]:
    with frozen(data) as model:
        gradients = Gradients(model, lora_modules(model))

        def run() -> Tensor:
            directions = weighted_gradients(gradients, data.validation, shares=data.shares, settings=data.scoring)
            products = torch.zeros(len(data.samples), data.shares.shape[1])
            for batch in batches(data.samples, **data.limits):
                products[batch.rows] = batch_products(gradients, batch, directions=directions).dot
            return products

        yield run


@contextmanager
def published(data: Data, folder: Path) -> Iterator[Score]:
    """One sample at a time, all logits; every gradient on disk before the first product (arXiv 2507.03004)."""
    with frozen(data) as model:
        parameters = {n: p for n, p in model.named_parameters() if "lora_" in n}
        for parameter in parameters.values():
            parameter.requires_grad_(True)

        def run() -> Tensor:
            validation = [_load(path) for path in _write(model, parameters, data.validation, folder / "validation")]
            directions = {
                n: torch.einsum("vd,v...->d...", data.shares, torch.stack([g[n] for g in validation]))
                for n in parameters
            }
            rows = []
            for path in _write(model, parameters, data.samples, folder / "samples"):
                gradient = _load(path)
                rows.append(sum(directions[n].flatten(1) @ g.flatten() for n, g in gradient.items()))
            return torch.stack(rows)

        yield run


def _write(model: Any, parameters: dict[str, Any], samples: Sequence[Tokens], folder: Path) -> list[Path]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    paths = []
    for number, sample in enumerate(samples):
        batch = pad([sample])
        model.zero_grad()
        model(input_ids=batch.input_ids, labels=batch.labels).loss.backward()
        paths.append(folder / f"{number}.pt")
        torch.save({n: p.grad for n, p in parameters.items()}, paths[-1])
    return paths


def _load(path: Path) -> dict[str, Tensor]:
    return torch.load(path)
