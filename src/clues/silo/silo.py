"""One data owner: it trains a trajectory, scores, selects, and trains on the selected samples.

A notebook makes a `Silo` of a loaded model and a list of records, `clues score` makes one of files, and a client of a
collaboration of messages. The silo itself depends on neither.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clues.checks.findings import Findings, check_samples
from clues.data.samples import PublicSamples, read_records
from clues.data.tokens import Picked, Tokens, TokenTable
from clues.errors import all_of
from clues.io.files import write_json
from clues.io.processes import gathered, once
from clues.io.progress import phase
from clues.io.store import Store, export
from clues.methods.interface import Job
from clues.methods.registry import checked_method, method, with_rule
from clues.methods.scoring import score_job
from clues.models.adapters import TENSORS, AdapterState, lora_facts
from clues.models.base import Base, at_rest
from clues.models.trajectory import Trained, load_trajectory
from clues.passes.costs import Cost, measured
from clues.passes.numbers import check_numbers
from clues.passes.passes import PASSES, Columns, Passes
from clues.passes.sizing import batch_limits
from clues.selection.threshold import Threshold
from clues.settings import SiloSettings, validated
from clues.silo.checked import columns
from clues.silo.job import make_job
from clues.silo.scored import ALONE, ANCHORS, COSTS, SAMPLES, VALIDATION, Scored, select_by_anchors
from clues.silo.selection import Selection
from clues.silo.tables import write_table
from clues.training.fit import Training, fit
from clues.training.in_run import InRunScorer


class Silo:
    """One data owner, in memory or on disk.

    Args:
        findings: of checks on the private samples; they become columns of the scores.
        store: keeps finished work; `folder`/store by default, and a temporary store without a folder.
        folder: where results are exported: trajectory/, scores.parquet, anchors.parquet, maybe
            validation.parquet, costs.json.
        name: the owner's name in a threshold.
    """

    def __init__(
        self,
        job: Job,
        *,
        findings: Findings | None = None,
        store: Store | None = None,
        folder: Path | None = None,
        name: str = ALONE,
    ) -> None:
        self.job, self.findings, self.folder, self.name = job, findings, folder, name
        self.store = store or (Store(folder / "store") if folder else Store.temporary())
        self._scored: Scored | None = None

    @classmethod
    def from_records(
        cls,
        model: Any,
        tokenizer: Any,
        records: Sequence[Mapping[str, Any]],
        *,
        validation: Sequence[Mapping[str, Any]],
        anchors: Sequence[Mapping[str, Any]],
        **settings: Any,
    ) -> Silo:
        """A silo of a loaded model and of records as a file would contain them. Only temporary files are written.

        Args:
            model, tokenizer: a causal LM of transformers, and its own.
            validation: clean records that define what is good. anchors: clean records that set the threshold.
            settings: tables of settings, such as `scoring={"method": "clues"}`.

        Raises:
            ConfigError: invalid settings, all of them at once.
            DataError: unusable records, all of them at once.
        """
        chosen = validated(SiloSettings, settings)
        checked_method(chosen.scoring)
        samples, public_validation, public_anchors = all_of(
            lambda: read_records(records, "records", chosen.data),
            lambda: read_records(validation, "validation", chosen.data),
            lambda: read_records(anchors, "anchors", chosen.data),
        )
        base = Base(str(model.config._name_or_path), model, tokenizer, in_memory=True)
        public = PublicSamples(validation=public_validation, anchors=public_anchors)
        job = make_job(base, samples, public, settings=chosen)
        return cls(job, findings=check_samples(samples, public))

    def trajectory(self) -> Trained:
        """The trajectory of an adapter trained on all private samples."""
        if self.job.scoring.walk == "in-run":
            return load_trajectory(self._scored_in_run() / "trajectory", self.job.base)
        with phase("trajectory"):
            folder = self._trained_on(self.job.private, self._training())
        self._show(folder, "trajectory")
        return load_trajectory(folder, self.job.base)

    def _trained_on(self, tokens: TokenTable, training: Training) -> Path:
        def build(part: Path) -> None:
            once(lambda: self._fit(tokens, training, trajectory=part))

        inputs = [self.job.base.digest, tokens.digest, training.facts]
        return self.store.folder("trajectory", inputs, build=build)

    def score(self, trained: Trained | None = None) -> Scored:
        """Score the private samples and the anchors along `trained`, by default along the silo's own trajectory.

        Each process of a silo calls this, and scores a share of the batches.

        Raises:
            ConfigError: the method cannot be used with these settings.
            ScoringError: a score is not a number.
        """
        if self.job.scoring.walk == "in-run":
            folder = self._scored_in_run()
            self._show(folder / "trajectory", "trajectory")
        else:
            trained = self._needed(trained)
            with phase("scoring"):
                folder = self._scored_at(trained)
        for name in (SAMPLES, ANCHORS, VALIDATION, COSTS):
            self._show(folder / name, name)
        self._scored = Scored(folder)
        return self._scored

    def _needed(self, trained: Trained | None) -> Trained:
        """The adapter that the method needs: `trained` or the silo's own, one of the validation set, or none."""
        needed, job = method(self.job.scoring.method).trajectory, self.job
        if needed == "validation":
            training = replace(self._training(), what="training on the validation set")
            with phase("trajectory"):
                folder = self._trained_on(job.public.validation, training)
            return load_trajectory(folder, job.base)
        return trained or (self.trajectory() if needed == "private" else Trained(job.settings.lora, []))

    def select(self, threshold: Threshold | None = None) -> Selection:
        """Select by the latest scores, with a threshold that is given or fitted on the silo's own anchors."""
        scored, settings = self._scored or self.score(), self.job.settings
        if threshold:
            return Selection(scored.samples, threshold, self.name, drop=settings.selection.drop)
        return select_by_anchors(scored, with_rule(settings.selection, settings.scoring), name=self.name)

    def train(
        self,
        rows: Sequence[int] | None = None,
        *,
        initial: Mapping[str, Tensor] | None = None,
        in_order: bool = False,
        proximal_mu: float = 0.0,
        what: str = "training",
    ) -> AdapterState:
        """Train an adapter on some private samples, by default on the selected ones; returns its tensors.

        Args:
            initial, in_order, proximal_mu, what: as in `Training`.
        """
        if rows is None:
            rows = [row for row, keep in enumerate(self.select().kept) if keep]
        training = replace(self._training(), initial=initial, in_order=in_order, proximal_mu=proximal_mu, what=what)
        job, tokens = self.job, Picked(self.job.private, rows)
        inputs = [job.base.digest, job.private.digest, torch.tensor(rows), training.facts]
        with phase("training"):
            return self.store.get("adapters", inputs, compute=lambda: self._fit(tokens, training), codec=TENSORS)

    def _fit(self, tokens: Sequence[Tokens], training: Training, **options: Any) -> AdapterState:
        with at_rest(self.job.base):
            return fit(self.job.base, tokens, training=training, **options)

    def _training(self) -> Training:
        settings = self.job.settings
        return Training(
            lora=settings.lora,
            settings=settings.training,
            seed=settings.seed,
            what="training the trajectory",
            logs=self.folder and self.folder / "logs",
        )

    def _show(self, stored: Path, name: str) -> None:
        if self.folder and stored.exists():
            target = self.folder / name
            once(lambda: export(stored, target))

    def _scored_at(self, trained: Trained) -> Path:
        job = self.job

        def build(part: Path) -> None:
            size, tokens = batch_limits(job.base, job.scoring)
            passes = Passes(base=job.base, store=self.store, batch_size=size, batch_tokens=tokens)
            with at_rest(job.base), measured(job.base) as cost:
                scores = score_job(job, trained, passes)
            check_numbers(scores.columns, job.scored.id)
            split = len(job.private)
            samples, anchors = (scores.rows(rows).columns for rows in (slice(0, split), slice(split, None)))
            written = {"samples": samples, "anchors": anchors, "validation": dict(scores.validation)}
            total = sum(gathered(sum(passes.earlier, cost)), Cost())
            once(lambda: self._write(part, **written, note=scores.note))
            once(lambda: write_json(part / COSTS, asdict(total)))

        choices = job.scoring.model_dump(exclude={"batch_size", "batch_tokens", "keep_passes"})
        inputs = [*self._data_digests(), lora_facts(trained.lora), list(trained.checkpoints), choices]
        folder = self.store.folder("scores", inputs, build=build)
        if not job.scoring.keep_passes:
            once(lambda: self.store.drop(PASSES))
        return folder

    def _scored_in_run(self) -> Path:
        """Train the trajectory and score in the same pass."""
        job, training = self.job, self._training()

        def build(part: Path) -> None:
            scorers: list[InRunScorer] = []

            def watch(trainer: Any) -> InRunScorer:
                public = {"validation": job.public.validation, "anchors": job.public.anchors}
                scorers.append(InRunScorer(trainer, **public, settings=job.scoring, keep=part / ".in-run"))
                return scorers[0]

            self._fit(job.private, training, trajectory=part / "trajectory", watch=watch)
            samples, anchors = scorers[0].columns()
            check_numbers(samples, job.private.id)
            self._write(part, samples=samples, anchors=anchors, validation={})
            shutil.rmtree(part / ".in-run", ignore_errors=True)

        inputs = [*self._data_digests(), training.facts, job.scoring]
        with phase("scoring"):
            return self.store.folder("in-run", inputs, build=lambda part: once(lambda: build(part)))

    def _data_digests(self) -> list[str]:
        job = self.job
        digests = [job.base.digest, job.private.digest, job.public.anchors.digest, job.public.validation.digest]
        return [*digests, *([self.findings.digest] if self.findings else [])]

    def _write(self, folder: Path, *, samples: Columns, anchors: Columns, validation: Columns, note: str = "") -> None:
        found = columns(self.findings, samples["score"].numpy(), self.job.private.id) if self.findings else {}
        write_table(folder / SAMPLES, self.job.private.ids, samples, texts=found, note=note)
        write_table(folder / ANCHORS, self.job.public.anchors.ids, anchors)
        if validation:
            write_table(folder / VALIDATION, self.job.public.validation.ids, validation)


def select_records(
    model: Any,
    tokenizer: Any,
    records: Sequence[Mapping[str, Any]],
    *,
    validation: Sequence[Mapping[str, Any]],
    anchors: Sequence[Mapping[str, Any]],
    **settings: Any,
) -> list[Mapping[str, Any]]:
    """The records that are worth training on, in their order. The arguments are those of `Silo.from_records`."""
    silo = Silo.from_records(model, tokenizer, records, validation=validation, anchors=anchors, **settings)
    return [record for record, keep in zip(records, silo.select().kept, strict=True) if keep]
