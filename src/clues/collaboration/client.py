"""The client's side of the protocol: it answers questions about one job, with adapters, anchor scores and counts only.

Every answer is written to the client's ledger before it is sent. Of an error only the type is sent, or, where the owner
or the protocol refuses a question, the sentence that says so; the text of other errors stays in errors.log.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from scipy.special import expit
from torch import Tensor

from clues.checks.findings import check_samples, tell_findings
from clues.collaboration import protocol
from clues.collaboration.items import items_of
from clues.collaboration.ledger import Ledger
from clues.collaboration.privacy.guard import Guard
from clues.collaboration.protocol import Content, Failure, parsed, plain
from clues.data.samples import Private, PublicSamples, Sample, parse_samples, read_private
from clues.errors import ProtocolError
from clues.io.digests import value_digest
from clues.io.files import read_json, replace_whole, write_json
from clues.io.progress import acting
from clues.io.store import Store
from clues.merging.updates import lora_pairs, products
from clues.models.adapters import TENSORS, AdapterState, adapter_state, attached
from clues.models.base import load_base
from clues.models.trajectory import Checkpoint, Trained
from clues.selection.metrics import read_labels, selection_metrics
from clues.selection.threshold import Threshold
from clues.settings import SiloFile, SiloSettings, Terms
from clues.silo.checked import Checked
from clues.silo.folder import JOB, OWNER, THRESHOLD
from clues.silo.job import make_job
from clues.silo.marks import DECISIONS, read_decisions
from clues.silo.review import reviewed
from clues.silo.scored import SAMPLES
from clues.silo.selection import Selection, counts, write_selection
from clues.silo.silo import Silo
from clues.silo.tables import ScoreTable
from clues.training.walk import round_rows

ASKED = "thresholds.json"  # in the folder of a job: digests of the thresholds that were answered


@dataclass(frozen=True)
class Client:
    """One data owner in one job.

    Args:
        own: the owner's settings. folder: private results of the job. store: finished work of all jobs.
    """

    own: SiloFile
    folder: Path
    store: Store

    def answer(self, kind: str, facts: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Content | Failure:
        """What is sent in answer to a question; it is in the ledger by then."""
        try:
            with acting(self.own.id):
                answer: Content | Failure = self._answered(kind, Content(facts, arrays))
        except Exception as error:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / "errors.log").open("a", encoding="utf-8", errors="backslashreplace") as log:
                log.write(traceback.format_exc() + "\n")
            refused = isinstance(error, ProtocolError)
            answer = Failure(str(error) if refused else f"{type(error).__name__}; its errors.log says more")
        ledger = Ledger(self.folder / "ledger.jsonl")
        if isinstance(answer, Failure):
            ledger.write("error", items_of({"reason": answer.reason}, {}))
        else:
            ledger.write(kind, items_of(*answer))
        return answer

    def _answered(self, kind: str, content: Content) -> Content:
        answers = {
            "prepare": self._prepare,
            "select": self._select,
            "judge": self._judge,
            "weigh": self._weigh,
            "train": self._train,
        }
        if kind not in answers:
            raise ProtocolError("the question is not one of the protocol.")
        limit = self.own.allow.megabytes
        if content.size > limit * 10**6:
            raise ProtocolError(f"{kind}: {content.size / 1e6:.0f} MB exceed the {limit} that allow.megabytes sets.")
        question = parsed(protocol.QUESTIONS[kind], content.facts, what=kind)
        answer: Content = answers[kind](question, content.arrays)  # type: ignore[operator]
        json.dumps(answer.facts)
        return answer

    def _prepare(self, question: protocol.Prepare, arrays: Mapping[str, Tensor]) -> Content:
        """Check what is asked for against what the owner allows, and all of it against model and data."""
        mode = question.terms.collaboration.mode
        if mode not in self.own.allow.modes:
            raise ProtocolError(f"prepare: allow.modes does not hold {mode}.")
        elsewhere = {*question.terms.training.report_to} - {"tensorboard", *self.own.allow.report_to}
        if elsewhere:
            raise ProtocolError(f"prepare: losses would go to {', '.join(sorted(elsewhere))}; see allow.report_to.")
        base, template = load_base(self.own.model), question.terms.data.template
        if base.digest != question.terms.model.digest:
            raise ProtocolError("prepare: this client's model is not that of the terms; use one model and revision.")
        templates = base.tokenizer.chat_template  # by name, if there are several
        if template and "{" not in template and not (isinstance(templates, Mapping) and template in templates):
            # Whoever asks names no file of this machine.
            raise ProtocolError("prepare: data.template is neither a template nor the name of one of the model's.")
        releases = question.terms.collaboration.rounds if mode == "federated" else 1
        key = self._guard(question.terms).check(releases)
        write_json(self.folder / JOB, plain(question))
        write_json(self.folder / OWNER, {"id": self.own.id, "data": self.own.data, "dialect": self.own.dialect})
        self.__dict__.pop("_work", None)
        private, kinds = self._work.private, self._work.kinds
        share = None if kinds is None else sum(not kind for kind in kinds) / len(kinds)
        counted = protocol.PrepareAnswer(
            samples=len(private.samples), unusable=len(private.unusable), good_share=share, mask_key=key
        )
        return Content(plain(counted), {})

    def _select(self, question: protocol.Select, arrays: Mapping[str, Tensor]) -> Content:
        """Train or take a trajectory, score and check private samples."""
        work, known = self._of(question.job), dict.fromkeys(question.rounds)
        for digest, arrived in protocol.unbundled(arrays, list(known)).items():
            self._keep(work.accepted(arrived), digest=digest)
        missing = [digest for digest in known if not self._received(digest).is_file()]
        if missing:
            return Content(plain(protocol.SelectAnswer(missing=missing)), {})
        silo, terms = work.silo(self.store, checked=True), work.terms
        rate = terms.training.learning_rate
        points = [Checkpoint(TENSORS.read(self._received(digest)), rate) for digest in question.rounds]
        sends = question.adapter and not points and not terms.privacy.masks  # masked ones are not seen alone
        own = silo.trajectory() if sends else None
        scored = silo.score(Trained(terms.lora, points) if points else own)
        anchors, names = scored.anchors, protocol.AnchorColumn.__args__  # type: ignore[attr-defined]
        answer = protocol.SelectAnswer.model_validate(
            {
                "anchors": self._guard(terms).anchors(
                    {n: torch.tensor(anchors[n]) for n in anchors.names if n in names}, question.job
                ),
                # They tell whether a public text is among the private ones, which no noise hides.
                "checks": {} if self.own.privacy else Checked(scored.samples).counts(),
                "weight": self._weight(range(len(work.private.samples)), terms),
            }
        )
        if own is None:
            return Content(plain(answer), {})
        state = self._guard(terms).adapter(own.state, work.initial, message=f"{question.job} mixed 0")
        return Content(plain(answer), protocol.to_wire(state, terms))

    def _judge(self, question: protocol.Judge, arrays: Mapping[str, Tensor]) -> Content:
        """Apply several thresholds, each to the column it was fitted on. What the chosen one keeps is the selection."""
        work, table, verdicts = self._of(question.job), ScoreTable(self.folder / SAMPLES), []
        private, kinds, drop = work.private, work.kinds, work.terms.selection.drop
        self._claim([(entry.column, entry.threshold) for entry in question.thresholds])
        for entry in question.thresholds:
            selection = Selection(table, entry.threshold, self.own.id, entry.column, drop)
            if entry.chosen:
                write_json(self.folder / THRESHOLD, entry.threshold.as_dict())
                selection = self._reviewed(selection)
            verdict = counts(selection)
            if entry.chosen:
                write_selection(private, selection, self.folder)
                found = {"unusable": len(private.unusable), "checks": selection.checked.counts()}
                write_json(self.folder / "selection.json", {**selection.threshold.as_dict(), **verdict, **found})
            if kinds is not None:
                verdict |= selection_metrics(selection.scores.tolist(), selection.kept, kinds)
            verdicts.append(verdict)
        answer = protocol.JudgeAnswer.model_validate({"verdicts": verdicts})
        return Content(answer.model_dump(mode="json", exclude_unset=True), {})

    def _weigh(self, question: protocol.Weigh, arrays: Mapping[str, Tensor]) -> Content:
        """Count the samples that an arm would train on."""
        work = self._of(question.job)
        weight = self._weight(self._rows(work, question), work.terms)
        return Content(plain(protocol.WeighAnswer(weight=weight)), {})

    def _train(self, question: protocol.Train, arrays: Mapping[str, Tensor]) -> Content:
        """Train on the part of the data that the arm names: at once, or for a round."""
        work = self._of(question.job)
        terms, initial = work.terms, work.accepted(arrays) if arrays else {}
        if initial and question.arm == "mixed":  # its rounds are the trajectory
            self._keep(initial, digest=value_digest(initial)[:16])
        rows = self._rows(work, question)
        count, weight = len(rows), self._weight(rows, terms)
        if 0 < count < self.own.allow.samples:
            raise ProtocolError(f"train: {question.arm} has fewer samples than allow.samples.")
        if question.round and count:
            number, rounds = question.round, terms.collaboration.rounds
            places = round_rows(count, terms.training, seed=terms.seed, number=number, rounds=rounds)
            rows = [rows[place] for place in places]
        state = initial
        if rows:  # else nothing was selected (the answer has weight 0), or too little for every round
            proximal = terms.collaboration.proximal_mu if terms.collaboration.strategy == "fedprox" else 0.0
            state = work.silo(self.store).train(
                rows,
                initial=initial or None,
                in_order=bool(question.round),
                proximal_mu=proximal if question.round else 0.0,
                what=f"training on {question.arm} ({count} samples)",
            )
            message = f"{question.job} {question.arm} {question.round}"
            state = self._guard(terms).adapter(state, initial or work.initial, message=message)
        if question.masks is None and not terms.privacy.masks:
            return Content(plain(protocol.TrainAnswer(weight=weight)), protocol.to_wire(state, terms))
        return self._masked(question, state or work.initial, weight, work)

    def _masked(self, question: protocol.Train, state: AdapterState, weight: protocol.Weight, work: _Work) -> Content:
        """The answer to `train` under masks. In merging, products B·A are summed, which is exact."""
        if question.masks is None:
            raise ProtocolError("train: the terms promise masks, and the question has none.")
        plan = question.masks.plan(question.job, question.request)
        if work.terms.collaboration.mode == "merging":
            state = products(lora_pairs(state))
        if plan.weights.get(self.own.id) and not weight.samples:
            raise ProtocolError("train: the masks give weight to a client without samples.")
        masked = self._guard(work.terms).masked(state, plan, question.masks.keys)
        answer = protocol.TrainAnswer(weight=weight, clipped=masked.clipped)
        return Content(plain(answer), masked.arrays)

    def _guard(self, terms: Terms) -> Guard:
        return Guard(self.own, Path(self.own.folder), self.folder, self.store, terms.privacy)

    @cached_property
    def _work(self) -> _Work:
        """The job in the client's folder, with the model and the tokens that all its questions need."""
        question = parsed(protocol.Prepare, read_json(self.folder / JOB), what=JOB)
        return _Work(self.own, self.folder, question)

    def _of(self, job: str) -> _Work:
        """Raises ProtocolError if this client was not prepared for the job."""
        if not (self.folder / JOB).is_file() or self._work.question.job != job:
            raise ProtocolError("the question is about a job that this client was not prepared for.")
        return self._work

    def _received(self, digest: str) -> Path:
        return self.folder / "received" / f"{digest}.safetensors"

    def _keep(self, state: AdapterState, *, digest: str) -> None:
        """Keep a global adapter, so that it need not be sent again as part of the trajectory."""
        if not self._received(digest).is_file():
            replace_whole(self._received(digest), lambda part: TENSORS.write(part, state))

    def _weight(self, rows: Sequence[int], terms: Terms) -> protocol.Weight:
        expected = None
        if terms.merging.weights == "quality" and terms.collaboration.mode == "merging":
            expected = float(expit(ScoreTable(self.folder / SAMPLES).score[list(rows)]).sum())
        return protocol.Weight(samples=len(rows), expected_good=expected)

    def _reviewed(self, selection: Selection) -> Selection:
        """The selection given the owner's decisions, where the client's folder holds any."""
        file = self.folder / DECISIONS
        return reviewed(selection, read_decisions(file, selection.table.ids)) if file.is_file() else selection

    def _claim(self, asked: Sequence[tuple[str, Threshold]]) -> None:
        """Record thresholds that are answered. Raises ProtocolError if the job asks for more than its owner allows."""
        file, most = self.folder / ASKED, self.own.allow.thresholds
        known = read_json(file) if file.is_file() else []
        new = dict.fromkeys([*known, *(value_digest([column, rule.as_dict()])[:16] for column, rule in asked)])
        if len(new) > most:
            raise ProtocolError(f"a job may ask for {most} thresholds, by allow.thresholds, and this one has.")
        if len(new) > len(known):
            write_json(file, list(new))

    def _rows(self, work: _Work, question: protocol.Train | protocol.Weigh) -> Sequence[int]:
        """The samples that an arm trains on.

        Raises:
            ProtocolError: the arm needs labels or a threshold, and there are none.
        """
        if question.arm == "mixed":
            return range(len(work.private.samples))
        if question.arm == "oracle":
            if work.kinds is None:
                raise ProtocolError("train: the arm oracle needs labels, and this client has none.")
            return [row for row, kind in enumerate(work.kinds) if not kind]
        if question.threshold is None:
            raise ProtocolError(f"train: the arm {question.arm} needs a threshold.")
        self._claim([("score", question.threshold)])
        drop = work.terms.selection.drop
        selection = Selection(ScoreTable(self.folder / SAMPLES), question.threshold, self.own.id, drop=drop)
        return [row for row, keep in enumerate(self._reviewed(selection).kept) if keep]


class _Work:
    """What all questions about a job share: private and public samples, model, tokens.

    Raises:
        CluesError: data or model cannot be used with these terms.
    """

    def __init__(self, own: SiloFile, folder: Path, question: protocol.Prepare) -> None:
        self.own, self.folder, self.question, terms = own, folder, question, question.terms
        self.terms = terms.model_copy(update={"scoring": own.scoring(terms), "data": own.reading(terms)})
        self.private: Private = read_private(own.data, self.terms.data)
        rows = {"validation": question.validation, "anchors": question.anchors, "tests": question.tests}
        parts = {name: parse_samples([row.model_dump() for row in part], name) for name, part in rows.items()}
        self._public, self._tests = PublicSamples(parts["validation"], parts["anchors"]), parts["tests"]
        self._job = make_job(
            load_base(own.model), self.private.samples, self._public, settings=SiloSettings.of(self.terms)
        )
        self.kinds = _kinds(own.labels, self.private.samples)

    def silo(self, store: Store, *, checked: bool = False) -> Silo:
        """The owner at work. `checked`: with findings, which become columns of its scores."""
        findings = None
        if checked:
            findings = check_samples(self.private.samples, self._public, self._tests)
            tell_findings(findings, self.private.samples, f"client {self.own.id}")
        return Silo(self._job, findings=findings, store=store, folder=self.folder, name=self.own.id)

    def accepted(self, arrays: Mapping[str, Tensor]) -> AdapterState:
        """An adapter from a message. Raises ProtocolError if it is not one of these terms."""
        wrong = protocol.like(self.initial)(dict(arrays))
        if wrong:
            raise ProtocolError(f"{wrong}.")
        return protocol.from_wire(arrays)

    @cached_property
    def initial(self) -> AdapterState:
        """The adapter that every training starts from."""
        with attached(self._job.base, self.terms.lora, seed=self.terms.seed) as model:
            return adapter_state(model)


def _kinds(labels: str | None, samples: Sequence[Sample]) -> list[str] | None:
    """The corruption type of each sample, empty for good ones; None without labels."""
    if not labels:
        return None
    known = read_labels(labels, [sample.id for sample in samples])
    return [known[sample.id] for sample in samples]
