"""Secure aggregation by pairwise masks: the server learns a weighted sum of adapters, and nothing else of any of them.

    sent_i = fixed(w_i · x_i) + Σ_{j>i} m_ij − Σ_{j<i} m_ij   mod 2^32,   Σ_i sent_i = Σ_i fixed(w_i · x_i)

m_ij is a ChaCha20 stream under a key that clients i and j derive from their X25519 keys (HKDF, bound to everything that
describes the sum and to both ids). It is the protocol of Bonawitz et al. (CCS 2017) without its recovery of dropouts: a
sum that lacks a client is refused, and repeated as another round. Two clients are hidden from the server, but each can
subtract itself from the sum; so can all clients but one that work together.

Values are integers in units of `limit`/2^30. NumPy's unsigned integers wrap by definition, so that sums are exact in
any order; on the wire they are int32 tensors with the same bits, as torch does not add unsigned ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from clues.collaboration.privacy.keys import public_key
from clues.collaboration.privacy.streams import KEY_BYTES, stream
from clues.errors import ProtocolError
from clues.io.digests import value_digest
from clues.io.files import read_json, write_json
from clues.models.adapters import AdapterState

_STEPS = 2**30  # of one sign; the sum of the weights is 1, so that 32 bits hold every sum
_CHECK = "masks-cancel"  # an array of zeros, whose sum is zero only if all masks cancel
_CHECK_COUNT = 4
_Words = NDArray[np.uint32]


@dataclass(frozen=True)
class MaskedSum:
    """What is summed; the same at every party, as masks depend on all of it.

    `round`: an id that no other sum of the job has; a repeated round needs a new one. `weights`: relative ones, by
    client id; the clients apply them. `limit`: the largest absolute value that is not clipped. `request`: a digest of
    what the clients were asked.
    """

    job: str
    round: str
    weights: Mapping[str, float]
    limit: float = 8.0
    request: str = ""

    @property
    def shares(self) -> dict[str, float]:
        """The weights by client id, sorted and divided by their sum."""
        total = sum(self.weights.values())
        return {client: self.weights[client] / total for client in sorted(self.weights)}

    @property
    def digest(self) -> str:
        """Of all of this, with weights that are written alike whatever their type."""
        return value_digest([self.job, self.round, self.shares, float(self.limit), self.request])

    @property
    def unit(self) -> float:
        """The value of the last bit; rounding costs each client at most half of it."""
        return self.limit / _STEPS


@dataclass(frozen=True)
class Masked:
    """A client's answer. `clipped`: how many values were beyond the limit, for the answer to state."""

    arrays: AdapterState
    clipped: int


def check_sum(plan: MaskedSum, client: str, *, largest_share: float = 0.9) -> None:
    """What a client refuses to be summed in.

    Raises:
        ProtocolError: weights are wrong, or the sum would show this client's adapter.
    """
    weights = plan.weights
    if client not in weights:
        raise ProtocolError(f"round {plan.round}: {client} is not in this sum; list it among the weights.")
    if not all(0 <= w < float("inf") for w in weights.values()) or not sum(weights.values()) or not plan.limit > 0:
        raise ProtocolError(f"round {plan.round}: weights must be 0 or more, not all 0, and the limit above 0.")
    if plan.shares[client] > largest_share:
        raise ProtocolError(
            f"round {plan.round}: {client} has {plan.shares[client]:.0%} of the sum, which would show its adapter; "
            f"let other clients have at least {1 - largest_share:.0%}."
        )


def mask(
    state: AdapterState, plan: MaskedSum, *, client: str, key: X25519PrivateKey, peers: Mapping[str, str]
) -> Masked:
    """The client's weighted adapter as integers under masks: int32 tensors of the same names and shapes, and a check.

    `check_sum`, `check_keys` and `UsedMasks.claim` come first; none of them is called here.

    Args:
        peers: public keys by client id.

    Raises:
        ProtocolError: a value is not a number.
    """
    streams = []
    for other in plan.shares:
        if other != client:
            secret = key.exchange(public_key(peers[other], other))
            info = bytes.fromhex(value_digest([plan.digest, sorted([client, other])]))
            shared = HKDF(SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)
            streams.append((stream(shared), client < other))
    arrays, clipped = {}, 0
    for name, tensor in sorted({**state, _CHECK: torch.zeros(_CHECK_COUNT)}.items()):
        values = tensor.detach().cpu().double().numpy()
        if not np.isfinite(values).all():
            raise ProtocolError(f"{client}: the adapter holds values that are not numbers; train in float32.")
        clipped += int((np.abs(values) > plan.limit).sum())
        scaled = np.clip(values, -plan.limit, plan.limit) * (plan.shares[client] / plan.unit)
        words = np.rint(scaled).astype(np.int64).astype(np.uint32)
        for following, adds in streams:
            pad = np.frombuffer(following(4 * words.size), np.uint32).reshape(words.shape)
            words = words + pad if adds else words - pad
        arrays[name] = torch.from_numpy(np.asarray(words).view(np.int32))
    return Masked(arrays, clipped)


def unmask(answers: Mapping[str, AdapterState], plan: MaskedSum) -> AdapterState:
    """Σ_i w_i x_i with weights that sum to 1, in float32. The order of the answers does not matter.

    Raises:
        ProtocolError: an answer is missing, unexpected or misshapen, or the masks do not cancel.
    """
    missing, others = sorted(set(plan.weights) - set(answers)), sorted(set(answers) - set(plan.weights))
    if missing or others:
        what = f"{', '.join(missing)} did not answer" if missing else f"{', '.join(others)} was not asked"
        raise ProtocolError(f"round {plan.round}: {what}, so the masks do not cancel; repeat it as a new round.")
    shapes = {client: {name: t.shape for name, t in arrays.items()} for client, arrays in sorted(answers.items())}
    first, expected = next(iter(shapes.items()))
    for client, arrays in answers.items():
        if shapes[client] != expected or any(t.dtype != torch.int32 for t in arrays.values()):
            raise ProtocolError(f"round {plan.round}: {client} sent other arrays than {first}; use one adapter shape.")
    if expected.get(_CHECK) != (_CHECK_COUNT,):
        raise ProtocolError(f"round {plan.round}: the answers are not masked; allow masks at every client.")
    sums = {name: _sum([arrays[name] for arrays in answers.values()]) for name in expected}
    if sums.pop(_CHECK).any():
        raise ProtocolError(
            f"round {plan.round}: the masks do not cancel, as a client used another key or was told of another sum; "
            "compare the pinned keys, then repeat it as a new round."
        )
    return {
        name: torch.from_numpy(np.asarray(words.view(np.int32) * plan.unit, np.float32)) for name, words in sums.items()
    }


def _sum(tensors: list[torch.Tensor]) -> _Words:
    total = np.zeros(tuple(tensors[0].shape), np.uint32)
    for tensor in tensors:
        total += tensor.numpy().view(np.uint32)
    return total


class UsedMasks:
    """The sums that a client has answered, in a file of the job, so that no two of them show more than one would.

    Two adapters under the same masks show how they differ; one adapter in sums of {a, b, c} and of {a, b} shows c's.

    Args:
        allow_changes: let an adapter go into sums of other clients or weights, for example without a client that died.
            The others then rely on the server's word that it did not receive the first sum.
    """

    def __init__(self, path: Path, *, allow_changes: bool = False) -> None:
        self._path, self._allow_changes = path, allow_changes

    def claim(self, state: AdapterState, plan: MaskedSum) -> None:
        """Record that `state` goes into this sum.

        Raises:
            ProtocolError: another adapter went into this sum, or this adapter into a sum with other weights.
        """
        used = read_json(self._path) if self._path.is_file() else {"adapters": {}, "shares": {}}
        digest = value_digest(state)
        if used["adapters"].setdefault(plan.digest, digest) != digest:
            raise ProtocolError(f"round {plan.round}: has been answered with another adapter; give it a new round id.")
        if used["shares"].setdefault(digest, plan.shares) != plan.shares and not self._allow_changes:
            raise ProtocolError(
                f"round {plan.round}: this adapter was in a sum with other clients or weights, and the difference of "
                "both would show one; ask for the same clients and weights, or start the job again."
            )
        write_json(self._path, used)
