"""What protects a client's answers, and what protects a run from clients that lie."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from clues.errors import ProtocolError
from clues.settings.sources import Source
from clues.settings.tables import ClientId, Positive, Settings, Share

_EXPOSURE = {"none": 0, "noised": 1, "exact": 2}


class NoiseSettings(Settings):
    """The noise on an update: the L2 norm it is clipped to, and the multiplier."""

    clipping_norm: Positive  # the largest L2 norm of an update; longer ones are shortened to it
    noise_multiplier: Positive  # the noise's standard deviation, in units of the norm's sensitivity

    @property
    def deviation(self) -> float:
        """The standard deviation of the noise on every number of an update."""
        return 2 * self.clipping_norm * self.noise_multiplier


class AnchorNoise(Settings):
    """How anchor scores are sent: as they are, clamped to a range and noised, or not at all.

    The range must come from the score's definition, such as −1 and 1 for a cosine, not from the client's data.
    """

    release: Literal["exact", "noised", "none"] = "exact"  # as they are, clamped and noised, or not at all
    low: float = -1.0  # noised: scores below it are sent as it
    high: float = 1.0  # noised: scores above it are sent as it
    noise_multiplier: Positive = 1.0  # noised: the noise's standard deviation, in units of the sensitivity

    @model_validator(mode="after")
    def _ordered(self) -> AnchorNoise:
        if self.low >= self.high:
            raise ValueError("low: must be below high.")
        return self


class PrivacySettings(Settings):
    """What a run asks of its clients. Masks: the coordinator sees sums of adapters alone."""

    masks: bool = False  # secure aggregation: the coordinator sees sums of adapters alone
    masks_limit: Positive = 8.0  # the largest absolute value of an adapter that is not clipped
    noise: NoiseSettings | None = None  # differential privacy of updates; default: none
    anchors: AnchorNoise = AnchorNoise()


class PrivacyLimits(Settings):
    """A silo's minimum, which no coordinator can lower."""

    max_epsilon: Positive  # the largest ε, of all that was ever sent of these data together
    delta: Annotated[float, Field(gt=0.0, lt=1.0)] = 1e-5  # the δ at which ε is computed
    max_clipping_norm: Positive  # the largest clipping norm of a run that is accepted
    min_noise_multiplier: Positive  # the smallest noise multiplier of a run that is accepted
    anchors: AnchorNoise = AnchorNoise(release="noised")  # the most that is sent of anchor scores

    def check_updates(self, proposed: NoiseSettings | None) -> None:
        """Raises ProtocolError if the noise on updates that the coordinator proposes is weaker."""
        if proposed is None:
            raise ProtocolError("this client sends noised updates only; set their noise in the run's settings.")
        if proposed.clipping_norm > self.max_clipping_norm:
            raise ProtocolError(
                f"the run clips updates to {proposed.clipping_norm:g}, and this client demands at most "
                f"{self.max_clipping_norm:g}; lower clipping_norm."
            )
        if proposed.noise_multiplier < self.min_noise_multiplier:
            raise ProtocolError(
                f"the run's noise multiplier is {proposed.noise_multiplier:g}, and this client demands at least "
                f"{self.min_noise_multiplier:g}; raise noise_multiplier."
            )

    def check_anchors(self, proposed: AnchorNoise) -> None:
        """Raises ProtocolError if the coordinator asks for more of the anchor scores than the client gives."""
        if _EXPOSURE[proposed.release] > _EXPOSURE[self.anchors.release]:
            raise ProtocolError(
                f"the run asks for {proposed.release} anchor scores, and this client's anchors.release is "
                f"{self.anchors.release}; ask for that."
            )
        if proposed.release == "noised" and self.anchors.release == "noised":
            least = self.anchors.noise_multiplier
            if proposed.noise_multiplier < least:
                raise ProtocolError(
                    f"the run's noise multiplier for anchor scores is {proposed.noise_multiplier:g}, and this client "
                    f"demands at least {least:g}; raise it."
                )


class MaskSettings(Settings):
    """A silo's key for masks, and the public keys of all clients, its own included, as their owners gave them."""

    key: Source  # the file of this client's private key
    pinned: dict[ClientId, str]  # by client, its public key
    required: bool = False  # refuse runs that ask for a single adapter
    # Let an adapter go into another sum after a client was lost, which relies on the coordinator's word.
    allow_changes: bool = False


class DefenceSettings(Settings):
    """What the coordinator does about clients that may lie. With masks, it sees no single adapter to check."""

    threshold: Literal["mean", "median", "trimmed-mean"] = "mean"  # over clients, of a rule fitted on anchors
    trim: Share = 0.2  # trimmed-mean: the share of clients left out at either end
    weight_cap: Annotated[float, Field(ge=1.0)] | None = None  # times the median of the others' numbers of samples
    updates: Literal["off", "report", "leave-out"] = "off"  # what is done about an adapter unlike the others
    norm_factor: Annotated[float, Field(gt=1.0)] = 3.0  # times the others' median norm, or a part of it, is unlike them
    recompute: bool = False  # compute anchor scores from adapters, instead of trusting those that are sent
    contributions: bool = False  # of merging: report the loss on the public samples without each client
