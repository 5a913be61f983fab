"""What is looked at before a run: settings, files, model and template, all of them before any long work."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from clues.data.prompts import tokenize
from clues.data.questions import read_questions
from clues.data.samples import Sample, overlap, read_many, read_private, read_public
from clues.data.telling import tell_leaks, tell_overlap
from clues.errors import ConfigError, all_of
from clues.evaluation.held_out import check_packages
from clues.evaluation.test_set import tokenize_options
from clues.methods.registry import checked_method
from clues.models.base import load_base
from clues.passes.directions import domain_weights
from clues.passes.gradients import check_modules
from clues.selection.metrics import read_labels
from clues.settings import ClientSettings, DataSettings, RunSettings
from clues.training.reporting import check_reporting


def check(settings: RunSettings) -> None:
    """Read and render every file, and try the adapter on the base, before any long work.

    Raises:
        CluesError: lists all that is wrong with settings, files, model or template.
    """
    data = settings.data
    public, tests, questions, _, base, *clients = all_of(
        lambda: read_public(validation=settings.validation, anchors=settings.anchors, data=data),
        lambda: read_many(settings.evaluation.tests, data),
        lambda: read_questions(settings.evaluation.choices, data),
        lambda: checked_method(settings.scoring),
        lambda: load_base(settings.model),
        *(functools.partial(_checked_client, client, data) for client in settings.clients if client.data),
    )
    validation, anchors = public
    for client, samples in zip(settings.clients, clients, strict=False):
        tell_overlap(overlap(samples, [*validation, *anchors]), f"client {client.id}")
        tell_leaks(overlap(samples, tests), f"client {client.id}")
    domains = sorted({sample.domain for sample in validation})
    all_of(
        lambda: check_packages(settings.evaluation),
        lambda: check_reporting(settings.training.report_to),
        lambda: _refuse_leaks([*validation, *anchors], tests, key="tests"),
        lambda: _refuse_leaks([*validation, *anchors], [question.sample for question in questions], key="choices"),
        lambda: domain_weights(domains, settings.scoring.domain_weights),
        lambda: check_modules(base, settings.lora, pattern=settings.scoring.modules),
        *(functools.partial(tokenize, part, base, data) for part in (validation, anchors, tests, *clients)),
        lambda: tokenize_options(questions, base, data),
    )


def _checked_client(client: ClientSettings, data: DataSettings) -> Sequence[Sample]:
    assert client.data is not None
    samples = read_private(client.data, data).samples
    if client.labels:
        read_labels(client.labels, [sample.id for sample in samples])
    return samples


def _refuse_leaks(public: Sequence[Sample], tests: Sequence[Sample], *, key: str) -> None:
    leaked = overlap(public, tests)
    if leaked:
        raise ConfigError(f"evaluation.{key}: {len(leaked)} of them stand in the public data too; remove them.")
