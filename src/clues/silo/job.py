"""From samples to a job: tokenizing, and checking the settings on the model before any heavy work."""

from __future__ import annotations

from collections.abc import Sequence

from clues.data.prompts import tokenize
from clues.data.samples import PublicSamples, Sample
from clues.errors import all_of
from clues.methods.interface import Job, Public
from clues.models.adapters import Lora
from clues.models.base import Base
from clues.passes.directions import domain_weights
from clues.passes.gradients import check_modules
from clues.settings import SiloSettings


def make_job(
    base: Base, samples: Sequence[Sample], public: PublicSamples, *, settings: SiloSettings, lora: Lora | None = None
) -> Job:
    """Tokenize private and public samples into a job.

    Args:
        lora: the configuration of a given adapter to score at, if these settings do not train one.

    Raises:
        CluesError: samples that the template refuses, unknown domains, modules that cannot be scored; all at once.
    """
    domains, data = sorted({sample.domain for sample in public.validation}), settings.data
    private, validation, anchors, *_ = all_of(
        lambda: tokenize(samples, base, data),
        lambda: tokenize(public.validation, base, data),
        lambda: tokenize(public.anchors, base, data),
        lambda: domain_weights(domains, settings.scoring.domain_weights),
        lambda: check_modules(base, lora or settings.lora, pattern=settings.scoring.modules),
    )
    return Job(base=base, private=private, public=Public(validation=validation, anchors=anchors), settings=settings)
