"""Directions that per-sample gradients are compared with: weighted sums of the validation samples' gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from clues.data.batches import Batch, batches
from clues.data.tokens import Tokens, as_table
from clues.errors import ConfigError
from clues.passes.gradients import Gradients, add_gradients, zero_directions
from clues.passes.memory import in_halves
from clues.passes.numbers import check_numbers
from clues.settings import ScoringSettings

G = TypeVar("G", bound=Any)


@dataclass(frozen=True, kw_only=True)
class Target(Generic[G]):
    """What gradients are compared with: the mean gradients v_m of groups of public samples, and their weighted sum.

    `groups`: the group of each sample; `weights`: w_m by group. `contrasted`: samples whose mean gradient ḡ is
    subtracted from every v_m. While an adapter still learns what all samples share, such as their format, every
    gradient points that way; the difference leaves what distinguishes good samples from the mixture.
    """

    samples: Sequence[Tokens]
    groups: Sequence[G]
    weights: Mapping[G, float]
    contrasted: Sequence[Tokens] = ()

    @property
    def names(self) -> list[G]:
        """The groups, in the order of their directions."""
        return sorted(self.weights)

    @property
    def shares(self) -> Tensor:
        """The coefficient of each sample's gradient, then of each contrasted one's, in each direction.

        The directions: Σ_m w_m (v_m − ḡ), the plain Σ_m w_m v_m, then v_m − ḡ for every group; ḡ = 0 without contrast.

        Returns:
            (samples + contrasted) × (2 + groups).
        """
        size, place = Counter(self.groups), {group: column for column, group in enumerate(self.names, start=2)}
        count, contrasted = len(self.samples), len(self.contrasted)
        shares = torch.zeros(count + contrasted, 2 + len(place))
        for row, group in enumerate(self.groups):
            shares[row, :2] = self.weights[group] / size[group]
            shares[row, place[group]] = 1 / size[group]
        if contrasted:
            shares[count:, 0] = -sum(self.weights.values()) / contrasted
            shares[count:, 2:] = -1 / contrasted
        return shares

    def directions(self, gradients: Gradients, settings: ScoringSettings) -> dict[str, Tensor]:
        """The directions, by tensor name: directions × parameter shape."""
        return weighted_gradients(gradients, [*self.samples, *self.contrasted], shares=self.shares, settings=settings)

    @property
    def facts(self) -> list[Any]:
        """What identifies these directions, for a digest."""
        weights = [self.weights[group] for group in self.names]
        return [as_table([*self.samples, *self.contrasted]).digest, self.shares, weights]


def by_domain(validation: Sequence[Tokens], configured: Mapping[str, float]) -> Target[str]:
    """The validation set, grouped by domain. Raises ConfigError where a weight names an unknown domain."""
    domains = [tokens.domain for tokens in validation]
    return Target(samples=validation, groups=domains, weights=domain_weights(sorted(set(domains)), configured))


def weighted_gradients(
    gradients: Gradients, tokens: Sequence[Tokens], *, shares: Tensor, settings: ScoringSettings
) -> dict[str, Tensor]:
    """Σ_i shares[i, d] · g_i for every direction d: by tensor name, directions × parameter shape."""
    directions = zero_directions(gradients.modules, shares.shape[1])

    def weighted(batch: Batch) -> dict[str, Tensor]:
        part = zero_directions(gradients.modules, shares.shape[1])
        weights = shares[batch.rows].to(gradients.device)
        losses = add_gradients(gradients, batch.to(gradients.device), weights=weights, into=part)
        check_numbers({"loss": losses}, lambda place: tokens[batch.rows[place]].id)
        return part

    for batch in batches(tokens, batch_size=settings.batch_size, batch_tokens=settings.batch_tokens):
        for part in in_halves(weighted, batch):
            for name, vectors in part.items():
                directions[name] += vectors
    return directions


def domain_weights(domains: Sequence[str], configured: Mapping[str, float]) -> dict[str, float]:
    """w_m of every domain, 1 where none is configured.

    Raises:
        ConfigError: a weight names no domain of the validation set.
    """
    unknown = sorted(set(configured) - set(domains))
    if unknown:
        raise ConfigError(
            f"scoring.domain_weights: {', '.join(unknown)} is no domain of the validation set; "
            f"its domains are {', '.join(domains)}."
        )
    return {domain: configured.get(domain, 1.0) for domain in domains}


def direction_lengths(directions: Mapping[str, Tensor]) -> Tensor:
    """The norm of every direction over all modules: directions, on the CPU."""
    return torch.as_tensor(sum(v.flatten(1).square().sum(1) for v in directions.values())).sqrt().cpu()


def cosines(products: Tensor, norms: Tensor, lengths: Tensor) -> Tensor:
    """samples × directions, from inner products (samples × directions) and the norms of both sides."""
    return products / (norms[:, None] * lengths[None, :]).clamp(min=torch.finfo(torch.float32).tiny)


def cosines_with_others(products: Tensor, norms: Tensor, lengths: Tensor, *, sizes: Tensor) -> Tensor:
    """What `cosines` would be if each sample were left out of the means: for samples that are part of them.

    With v the mean of n gradients, g among them: ⟨g, n v − g⟩ = n⟨g, v⟩ − |g|²,
    and |n v − g|² = n²|v|² − 2n⟨g, v⟩ + |g|².

    Args:
        products, norms, lengths: as for `cosines`. sizes: how many gradients each direction is the mean of: directions.

    Returns:
        samples × directions, NaN where a direction is one gradient.
    """
    products, own, size = products.double(), norms.double()[:, None].square(), sizes.double()
    lengths_of_others = (size.square() * lengths.double().square() - 2 * size * products + own).clamp(min=0).sqrt()
    found = (size * products - own) / (own.sqrt() * lengths_of_others).clamp(min=torch.finfo(torch.float32).tiny)
    return torch.where(size > 1, found, torch.nan).float()
