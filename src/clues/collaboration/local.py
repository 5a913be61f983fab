"""A collaboration in one process: settings and data are checked first, then server and clients run."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flwr.app import Context, RecordDict

from clues.data.prompts import tokenize
from clues.data.questions import read_questions
from clues.data.samples import Sample, overlap, read_many, read_private, read_public
from clues.data.telling import tell_leaks, tell_overlap
from clues.errors import ConfigError, all_of
from clues.evaluation.held_out import check_packages
from clues.evaluation.test_set import tokenize_options
from clues.io.files import read_json
from clues.io.run_folder import claim_folder, refuse_other_run, write_provenance
from clues.methods.registry import checked_method
from clues.models.base import load_base
from clues.passes.directions import domain_weights
from clues.passes.gradients import check_modules
from clues.selection.metrics import read_labels
from clues.settings import ClientSettings, DataSettings, RunSettings


def collaborate(settings: RunSettings, out: Path, *, stores: Path | None = None) -> dict[str, Any]:
    """Run the protocol and return the content of metrics.json; an interrupted run resumes.

    Args:
        stores: the folder of finished work, with a subfolder per party; by default, it is in each party's own folder.

    Raises:
        CluesError: settings or data are wrong (before any long work), or a client failed.
    """
    refuse_other_run(out, settings.model_dump(mode="json"))
    check(settings)
    claim_folder(out, settings.model_dump(mode="json"))
    write_provenance(out)
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    from clues.collaboration import client_app, server_app
    from clues.collaboration.in_process import InProcessGrid

    grid = InProcessGrid(
        client_app.app,
        {
            node: {
                "client": client.id,
                "data": client.data,
                "labels": client.labels or "",
                "tests": "\n".join(settings.evaluation.tests),
                "reading": settings.data.model_dump_json(),
                "folder": str(out / "clients" / client.id),
                "store": str(stores / client.id if stores else out / "clients" / client.id / "store"),
            }
            for node, client in enumerate(settings.clients, start=1)
        },
    )
    store = stores / "server" if stores else out / "server" / "store"
    run_config = {"settings": settings.model_dump_json(), "out": str(out), "store": str(store)}
    context = Context(run_id=1, node_id=0, node_config={}, state=RecordDict(), run_config=run_config)
    server_app.app(grid, context)
    metrics: dict[str, Any] = read_json(out / "metrics.json")
    return metrics


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
        *(functools.partial(_checked_client, client, data) for client in settings.clients),
    )
    validation, anchors = public
    for client, samples in zip(settings.clients, clients, strict=True):
        tell_overlap(overlap(samples, [*validation, *anchors]), f"client {client.id}")
        tell_leaks(overlap(samples, tests), f"client {client.id}")
    domains = sorted({sample.domain for sample in validation})
    all_of(
        lambda: check_packages(settings.evaluation),
        lambda: _refuse_leaks([*validation, *anchors], tests, key="tests"),
        lambda: _refuse_leaks([*validation, *anchors], [question.sample for question in questions], key="choices"),
        lambda: domain_weights(domains, settings.scoring.domain_weights),
        lambda: check_modules(base, settings.lora, pattern=settings.scoring.modules),
        *(functools.partial(tokenize, part, base, data) for part in (validation, anchors, tests, *clients)),
        lambda: tokenize_options(questions, base, data),
    )


def _checked_client(client: ClientSettings, data: DataSettings) -> Sequence[Sample]:
    samples = read_private(client.data, data).samples
    if client.labels:
        read_labels(client.labels, [sample.id for sample in samples])
    return samples


def _refuse_leaks(public: Sequence[Sample], tests: Sequence[Sample], *, key: str) -> None:
    leaked = overlap(public, tests)
    if leaked:
        raise ConfigError(f"evaluation.{key}: {len(leaked)} of them stand in the public data too; remove them.")
