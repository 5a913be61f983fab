"""The protocol between coordinator and clients: what is asked, what is answered, and what either side accepts.

hello      → id, versions
prepare    terms, public samples → counts of samples [, key]; a client says at once whether it can and may take part
select     [the global adapter of every round] → anchor scores, counts of findings [, adapter, if it is wanted]
judge      thresholds, the chosen one first → counts of kept samples [, metrics given labels]
weigh      arm, threshold → number of samples
train      arm, threshold [, adapter] [, masks] → adapter, number of samples

Facts are JSON, arrays are tensors by name. Every question but the first names the job, so that an answer cannot belong
to another. Nothing here knows what carries the messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from clues.collaboration.privacy.masks import MaskedSum
from clues.errors import ProtocolError
from clues.io.digests import value_digest
from clues.models.adapters import AdapterState
from clues.selection.threshold import Threshold
from clues.settings import CheckName, ClientId, Terms

VERSION = 3
Arm = Literal["mixed", "selected", "oracle", "ratio"]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]  # of a job or an adapter
AnchorColumn = Literal["score", "paper", "dot", "cosine"]  # what a client sends for each anchor
LARGEST = 1e12  # of a count or score: one beyond it would overflow what is computed of all clients'
Number = Annotated[int, Field(ge=0, le=int(LARGEST))]
_WIRE = {"float32": torch.float32, "float16": torch.float16}


class Content(NamedTuple):
    """A message: facts that JSON can hold, and tensors by name."""

    facts: Mapping[str, Any]
    arrays: Mapping[str, Tensor]

    @property
    def size(self) -> int:
        """Bytes."""
        return len(json.dumps(self.facts)) + sum(tensor.nbytes for tensor in self.arrays.values())


class Failure(NamedTuple):
    """Why there is no answer."""

    reason: str


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Hello(_Facts):
    pass


class PublicRow(_Facts):
    """A public sample, as `clues.data.samples.as_rows` writes it."""

    id: str
    context: list[dict[str, Any]]
    response: str
    domain: str
    tools: list[Any] | None = None


class Prepare(_Facts):
    job: Digest
    terms: Terms
    validation: list[PublicRow]
    anchors: list[PublicRow]
    tests: list[PublicRow]


class Select(_Facts):
    """`rounds`: the digests of the global adapters that are the trajectory; none where a client trains its own.

    `adapter`: whether the client's adapter, which it has trained on all its samples, is wanted.
    """

    job: Digest
    rounds: list[Digest] = []
    adapter: bool = False


class Entry(_Facts):
    """A threshold, the column it was fitted on, and whether it makes the selection."""

    column: AnchorColumn
    threshold: Threshold
    chosen: bool


class Judge(_Facts):
    job: Digest
    thresholds: Annotated[list[Entry], Field(max_length=32)]  # every one tells how private scores are distributed


class Weigh(_Facts):
    """How many samples an arm has, where weights must be known before adapters are added up."""

    job: Digest
    arm: Arm
    threshold: Threshold | None


class Masks(_Facts):
    """A sum of masked adapters (`clues.collaboration.privacy.masks`), with the public key of each of its clients."""

    round: Annotated[str, Field(pattern=r"^[a-z0-9 ]{1,64}$")]
    weights: dict[ClientId, Annotated[float, Field(ge=0)]]
    limit: Annotated[float, Field(gt=0)]
    keys: dict[ClientId, str]

    def plan(self, job: str, request: Any) -> MaskedSum:
        return MaskedSum(job, self.round, self.weights, self.limit, request=value_digest(request))


class Train(_Facts):
    """`round`: its number, from 1; 0 trains at once."""

    job: Digest
    arm: Arm
    threshold: Threshold | None
    round: Annotated[int, Field(ge=0)] = 0
    masks: Masks | None = None

    @property
    def request(self) -> list[Any]:
        """What is asked, whatever the masks."""
        return [self.arm, plain(self)["threshold"], self.round]


class HelloAnswer(_Facts):
    id: ClientId
    protocol: int
    version: str


class PrepareAnswer(_Facts):
    samples: Annotated[Number, Field(ge=1)]
    unusable: Number
    good_share: Annotated[float, Field(ge=0, le=1)] | None
    mask_key: str | None = None


class Weight(_Facts):
    """What an adapter may be weighted by: the number of its samples, and how many are expected to be good."""

    samples: Number
    expected_good: Annotated[float, Field(ge=0, le=LARGEST)] | None = None


class SelectAnswer(_Facts):
    """`missing`: adapters of rounds that the client does not hold; then there is nothing else."""

    anchors: dict[AnchorColumn, list[Annotated[float, Field(ge=-LARGEST, le=LARGEST)]]] = {}
    checks: dict[CheckName, Number] = {}
    weight: Weight = Weight(samples=0)
    missing: list[Digest] = []


class Verdict(_Facts):
    """What a threshold keeps of a client; given labels, also how well (`clues.selection.metrics`)."""

    kept: Number
    dropped: Number
    reviewed: Number = 0
    note: Annotated[str, Field(max_length=200)] = ""
    precision: float = 0.0
    recall: float = 0.0
    f1: float = 0.0
    accuracy: float = 0.0
    auroc: float | None = None
    auroc_by_kind: dict[str, float | None] = {}
    low_by_kind: dict[str, Number] = {}
    good: Number = 0
    kept_good: Number = 0


class JudgeAnswer(_Facts):
    verdicts: list[Verdict]


class WeighAnswer(_Facts):
    weight: Weight


class TrainAnswer(_Facts):
    """`clipped`: numbers of the adapter that were beyond the limit of masks."""

    weight: Weight
    clipped: Number = 0


QUESTIONS: dict[str, type[_Facts]] = {
    "hello": Hello,
    "prepare": Prepare,
    "select": Select,
    "judge": Judge,
    "weigh": Weigh,
    "train": Train,
}
F = TypeVar("F", bound=BaseModel)


def parsed(kind: type[F], facts: Any, *, what: str) -> F:
    """Facts of a message as their type.

    Raises:
        ProtocolError: they are of another form; names the places, not their values.
    """
    try:
        return kind.model_validate_json(json.dumps(facts))
    except (ValidationError, TypeError, ValueError) as error:
        places = [".".join(map(_place, e["loc"])) or "facts" for e in getattr(error, "errors", list)()]
        raise ProtocolError(f"{what}: {', '.join(places[:5]) or 'facts'} do not follow the protocol.") from None


def _place(key: str | int) -> str:
    """Part of a place in a message; a key that is no name may be anything."""
    return str(key) if re.fullmatch(r"[\w-]{1,40}", str(key), re.ASCII) else "?"


def plain(facts: BaseModel) -> dict[str, Any]:
    """Facts as JSON holds them."""
    return facts.model_dump(mode="json")


def like(template: AdapterState) -> Callable[[AdapterState], str | None]:
    """A check of adapters, which says what is wrong: the names and shapes of `template`, and finite numbers."""

    def wrong(state: AdapterState) -> str | None:
        if state.keys() != template.keys():
            return "the adapter has other tensors than the terms say"
        for name, tensor in state.items():
            if tensor.shape != template[name].shape:
                return f"{name} has the shape {list(tensor.shape)}, not {list(template[name].shape)}"
            if not tensor.is_floating_point() or not torch.isfinite(tensor).all():
                return f"{name} holds what is no number"
        return None

    return wrong


def to_wire(state: AdapterState, terms: Terms) -> AdapterState:
    """An adapter as it is sent."""
    return {name: tensor.detach().cpu().to(_WIRE[terms.collaboration.wire]) for name, tensor in state.items()}


def from_wire(arrays: Mapping[str, Tensor]) -> AdapterState:
    """Adapters are float32 on either side."""
    return {name: tensor.float() for name, tensor in arrays.items()}


def bundled(states: Mapping[str, AdapterState]) -> dict[str, Tensor]:
    """Several adapters as the arrays of a message."""
    return {f"{key}/{name}": tensor for key, state in states.items() for name, tensor in state.items()}


def unbundled(arrays: Mapping[str, Tensor], keys: Sequence[str]) -> dict[str, AdapterState]:
    """Raises ProtocolError if an array belongs to none of the keys."""
    states: dict[str, AdapterState] = {}
    for name, tensor in arrays.items():
        key, _, rest = name.partition("/")
        if key not in keys:
            raise ProtocolError("select: an array belongs to no round of the trajectory.")
        states.setdefault(key, {})[rest] = tensor
    return states
