"""Random projection of gradients, as in LESS (Xia et al., arXiv 2402.04333); it nearly preserves inner products.

p(g) = Π g with Π: dimension × parameters, entries ±1/√dimension. E⟨Πa, Πb⟩ = ⟨a, b⟩, and the error of a cosine is
about 1/√dimension (Johnson and Lindenstrauss). Samples and directions go through the same function, and so through the
same Π. Π is never held in memory: its columns are drawn again, in the same blocks, at each use.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import torch
from torch import Tensor

from clues.data.batches import Batch
from clues.passes.gradients import Gradients, Products

_BLOCK = 2**22  # entries of Π in memory at once


def project(name: str, vectors: Tensor, *, dimension: int) -> Tensor:
    """Π's columns for the tensor `name`, times vectors over that tensor: vectors × shape → vectors × dimension."""
    flat = vectors.flatten(1)
    generator = torch.Generator(flat.device).manual_seed(zlib.crc32(name.encode()))  # a separate Π for every tensor
    projected = flat.new_zeros(len(flat), dimension)
    for block in flat.split(max(1, _BLOCK // dimension), dim=1):
        signs = torch.empty(block.shape[1], dimension, device=flat.device)
        signs.bernoulli_(0.5, generator=generator).mul_(2).sub_(1)
        projected.addmm_(block, signs)
    return projected / dimension**0.5


def project_directions(directions: Mapping[str, Tensor], dimension: int) -> dict[str, Tensor]:
    """Directions by tensor name, directions × shape, as one tensor: directions × dimension."""
    return {"projected": torch.as_tensor(sum(project(n, v, dimension=dimension) for n, v in directions.items()))}


def projected_products(gradients: Gradients, batch: Batch, *, directions: Mapping[str, Tensor]) -> Products:
    """`batch_products` of projected gradients; `directions` comes from `project_directions`."""
    targets = directions["projected"]
    projected = targets.new_zeros(len(batch.rows), targets.shape[1])

    def receive(name: str, gradient: Tensor) -> None:
        projected.add_(project(name, gradient, dimension=targets.shape[1]))

    loss = gradients.receive(batch, receive)
    return Products(projected @ targets.T, projected.square().sum(1), loss, {})
