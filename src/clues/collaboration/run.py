"""What the coordinator holds during a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from clues.collaboration.asking import Clients
from clues.collaboration.protocol import Weight
from clues.data.samples import PublicSamples
from clues.io.digests import value_digest
from clues.io.store import Store
from clues.models.adapters import TENSORS, AdapterState
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


class Rounds(Sequence[AdapterState]):
    """The global adapter after each round: in the store, as many rounds of a large adapter exceed memory."""

    def __init__(self, store: Store) -> None:
        self._store, self._digests = store, list[str]()

    def append(self, state: AdapterState) -> None:
        self._digests.append(value_digest(state))
        self._store.get("rounds", self._digests[-1], compute=lambda: state, codec=TENSORS)

    def __len__(self) -> int:
        return len(self._digests)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[number] for number in range(*place.indices(len(self)))]
        return self._store.find("rounds", self._digests[place], codec=TENSORS)


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
