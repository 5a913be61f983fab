"""The last steps of a client's answer: noise, masks, and what its owner refuses to send without them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from clues.collaboration.privacy.budget import Budget, release_once
from clues.collaboration.privacy.keys import check_keys, public_text, read_key
from clues.collaboration.privacy.masks import Masked, MaskedSum, UsedMasks, check_sum, mask
from clues.collaboration.privacy.noise import privatised, released_anchors
from clues.errors import ProtocolError
from clues.io.store import Codec, Store
from clues.models.adapters import TENSORS, AdapterState
from clues.settings import PrivacySettings, SiloFile

BUDGET, USED_MASKS = "privacy.json", "masks.json"
_SCORE: Codec[Tensor] = Codec(
    ".safetensors", lambda path, value: TENSORS.write(path, {"score": value}), lambda path: TENSORS.read(path)["score"]
)


@dataclass(frozen=True)
class Guard:
    """What one owner does for one job.

    `home`: where the owner's budget outlives jobs. `folder`: of the job. `terms`: what the coordinator asks for.
    """

    own: SiloFile
    home: Path
    folder: Path
    store: Store
    terms: PrivacySettings

    def check(self, releases: int) -> str | None:
        """Whether this client may take part; returns its public key for masks.

        Args:
            releases: noised adapters that the run will ask for, at least.

        Raises:
            ProtocolError: the run protects the client less than its owner demands, or one side lacks what is needed.
        """
        limits, noise, masks = self.own.privacy, self.terms.noise, self.own.masks
        if limits:
            limits.check_updates(noise)
            limits.check_anchors(self.terms.anchors)
        if noise or self.terms.anchors.release == "noised":
            anchors = [self.terms.anchors.noise_multiplier] if self.terms.anchors.release == "noised" else []
            self._budget().check([*anchors, *([noise.noise_multiplier] * releases if noise else [])])
        if masks and masks.required and not self.terms.masks:
            raise ProtocolError("prepare: this client sends masked adapters only; set privacy.masks in the run.")
        if self.terms.masks and masks is None:
            raise ProtocolError("prepare: the run asks for masks, and this client's file has no table masks.")
        return public_text(read_key(Path(masks.key))) if self.terms.masks and masks else None

    def anchors(self, scores: Mapping[str, Tensor], job: str) -> dict[str, list[float]]:
        """The anchor scores that leave the client, by column. Noised, it is the score alone."""
        noise = self.terms.anchors
        if noise.release == "exact":
            return {name: values.tolist() for name, values in scores.items()}
        if noise.release == "none":
            return {}

        def noised() -> Tensor:
            released = released_anchors(scores["score"], noise)
            assert released is not None
            return released.double()

        multiplier = noise.noise_multiplier
        score = release_once(
            self._budget(), self.store, [job, "anchors"], multiplier=multiplier, release=(noised, _SCORE)
        )
        return {"score": score.tolist()}

    def adapter(self, state: AdapterState, initial: AdapterState, *, message: str) -> AdapterState:
        """The adapter with the noise of the terms, which is drawn once a message.

        Args:
            message: what identifies it: job, arm and round.
        """
        noise = self.terms.noise
        if noise is None:
            return state
        release = (lambda: privatised(state, initial, noise).state, TENSORS)
        multiplier = noise.noise_multiplier
        return release_once(self._budget(), self.store, message, multiplier=multiplier, release=release)

    def masked(self, state: AdapterState, plan: MaskedSum, keys: Mapping[str, str]) -> Masked:
        """The weighted adapter under masks.

        Raises:
            ProtocolError: the sum would show this client's adapter, or a key is not the pinned one.
        """
        masks = self.own.masks
        if masks is None:
            raise ProtocolError("the question asks for masks, and this client's file has no table masks.")
        check_sum(plan, self.own.id)
        check_keys(keys, pinned=masks.pinned, clients=plan.shares)
        UsedMasks(self.folder / USED_MASKS, allow_changes=masks.allow_changes).claim(state, plan)
        return mask(state, plan, client=self.own.id, key=read_key(Path(masks.key)), peers=keys)

    def _budget(self) -> Budget:
        if self.own.privacy is None:
            raise ProtocolError("the run asks for noise, and this client's file has no table privacy with max_epsilon.")
        return Budget(self.home / BUDGET, self.own.privacy)
