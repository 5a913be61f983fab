"""What the coordinator holds during a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from clues.collaboration.asking import Clients
from clues.collaboration.protocol import Weight
from clues.data.samples import PublicSamples
from clues.io.store import Store
from clues.models.adapters import AdapterState
from clues.models.base import Base
from clues.settings import RunSettings, Terms


@dataclass
class Member:
    """What is known about a client: counts, also of what checks found, anchor scores and its adapter.

    `weight`: of the adapter, which is trained on all samples.
    """

    samples: int
    unusable: int
    good_share: float | None
    mask_key: str | None = None
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    checks: Mapping[str, int] = field(default_factory=dict)
    weight: Weight = field(default_factory=lambda: Weight(samples=0))
    adapter: AdapterState = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Run:
    """`members`: by client, in the order of ids. `initial`: the adapter that every training starts from.
    `reports`: what defences found.
    """

    clients: Clients
    settings: RunSettings
    terms: Terms
    job: str
    base: Base
    store: Store
    public: PublicSamples
    members: dict[str, Member]
    initial: AdapterState
    reports: dict[str, Any] = field(default_factory=dict)

    @property
    def present(self) -> dict[str, Member]:
        """The members that are not left out."""
        return {client: self.members[client] for client in self.clients.present if client in self.members}
