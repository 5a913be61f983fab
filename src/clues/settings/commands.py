"""The settings of each command: the tables it uses, and its own keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clues.settings.privacy import DefenceSettings, PrivacyLimits, PrivacySettings
from clues.settings.sources import Source
from clues.settings.tables import (
    Anchors,
    ClientId,
    CollaborationSettings,
    Count,
    DataSettings,
    EngineSettings,
    EvaluationSettings,
    LoraSettings,
    MergingSettings,
    ModelSettings,
    Positive,
    ScoringSettings,
    Seed,
    SelectionSettings,
    Settings,
    Share,
    TrainingSettings,
    Validation,
)


class SiloSettings(Settings):
    """The work of one data owner: training, scoring and selecting."""

    seed: Seed = 1
    lora: LoraSettings = LoraSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()
    selection: SelectionSettings = SelectionSettings()

    @classmethod
    def of(cls, settings: Settings) -> SiloSettings:
        """The part of a command's settings that concerns the data owner."""
        names = [name for name in cls.model_fields if name in type(settings).model_fields]
        return cls(**{name: getattr(settings, name) for name in names})


class ClientSettings(Settings):
    """One data owner. `labels` (id, quality, kind) is for benchmarks. In a deployment, only its id is known here."""

    id: ClientId  # its name in the run, and that of its folder
    data: Source | None = None  # its samples; required, except in a deployment
    labels: Source | None = None  # which of them are good: id, quality, kind; default: nobody knows
    privacy: PrivacyLimits | None = None  # default: what the run asks is done


class RunSettings(Settings):
    """A collaboration: `clues run CONFIG.toml`."""

    seed: Seed = 1
    out: str = "runs/run"  # the folder of the run
    validation: Validation
    anchors: Anchors
    clients: Annotated[list[ClientSettings], Field(min_length=1)]  # a table each
    model: ModelSettings = ModelSettings()
    lora: LoraSettings = LoraSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()
    selection: SelectionSettings = SelectionSettings()
    collaboration: CollaborationSettings = CollaborationSettings()
    merging: MergingSettings = MergingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    engine: EngineSettings = EngineSettings()
    privacy: PrivacySettings = PrivacySettings()
    defences: DefenceSettings = DefenceSettings()

    @model_validator(mode="after")
    def _consistent(self) -> RunSettings:
        ids = [client.id for client in self.clients]
        wrong: list[str] = []
        if len(set(ids)) != len(ids):
            wrong.append("clients.id: two clients share an id; give each its own.")
        if self.engine.quorum and self.engine.quorum > len(ids):
            wrong.append(f"engine.quorum: is {self.engine.quorum}, of {len(ids)} clients; lower it.")
        deployed = self.engine.name == "deployment"
        dataless = [client.id for client in self.clients if client.data is None]
        if dataless and not deployed:
            wrong.append(f"clients.data: {', '.join(dataless)} has none; give each client its file.")
        if deployed and len(dataless) < len(ids):
            wrong.append("clients.data: in a deployment each client names its own file; give ids only.")
        wrong += self._guarded()
        unlabelled = [client.id for client in self.clients if client.labels is None and not deployed]
        if unlabelled and "oracle" in self.evaluation.arms:
            wrong.append(f"evaluation.arms: 'oracle' needs labels of every client; {', '.join(unlabelled)} has none.")
        if unlabelled and self.selection.threshold == "oracle-ratio":
            wrong.append("selection.threshold: 'oracle-ratio' needs clients.labels of every client.")
        if self.collaboration.mode == "federated" and self.scoring.preconditioner != "none":
            wrong.append(
                "scoring.preconditioner: rounds of a federation carry no optimizer moments; use none, or mode merging."
            )
        steps, rounds = self.training.steps, self.collaboration.rounds
        if self.collaboration.mode == "federated" and steps is not None and steps < rounds:
            wrong.append(
                f"collaboration.rounds: {steps} training.steps are too few for {rounds} rounds; "
                "take fewer rounds or more steps."
            )
        trained = sorted(set(self.evaluation.arms) - {"base"})
        if trained and not self.collaboration.train:
            wrong.append(
                f"evaluation.arms: {', '.join(trained)} are trained models; leave them out, or set "
                "collaboration.train to true."
            )
        if self.evaluation.judge and not self.evaluation.tests:
            wrong.append("evaluation.judge: judges answers to tests; give evaluation.tests.")
        if self.merging.weights == "quality" and self.scoring.method != "auto":
            wrong.append(
                "merging.weights: quality needs scores that are log-odds, those of scoring.method auto; use samples."
            )
        if self.collaboration.mode == "federated" and self.scoring.walk == "in-run":
            wrong.append(
                "scoring.walk: in a federation the rounds are the trajectory; use checkpoint, or mode merging."
            )
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    def _guarded(self) -> list[str]:
        """What is wrong with privacy and defences."""
        wrong, privacy, defences = [], self.privacy, self.defences
        if privacy.masks and len(self.clients) < 2:
            wrong.append("privacy.masks: one client alone cannot be hidden; use two or more.")
        if privacy.masks and (defences.updates != "off" or defences.recompute or defences.contributions):
            wrong.append(
                "privacy.masks: hide every adapter, so defences.updates, recompute and contributions see none."
            )
        if defences.contributions and self.collaboration.mode == "federated":
            wrong.append("defences.contributions: leaves clients out of a merge; use collaboration.mode merging.")
        averaged = self.collaboration.strategy in ("fedavg", "fedprox") and self.collaboration.aggregation == "separate"
        if privacy.masks and self.collaboration.mode == "federated" and not averaged:
            wrong.append("privacy.masks: give sums only; use strategy fedavg or fedprox with separate aggregation.")
        summed = self.merging.method == "exact" and self.merging.weights in ("equal", "samples")
        if privacy.masks and self.collaboration.mode == "merging" and not summed:
            wrong.append("privacy.masks: give sums only; use merging.method exact with weights equal or samples.")
        if privacy.masks and self.collaboration.wire != "float32":
            wrong.append("privacy.masks: send integers of 32 bits; use collaboration.wire float32.")
        if privacy.anchors.release == "none" and not defences.recompute:
            wrong.append("privacy.anchors.release: none needs defences.recompute, or there is no threshold.")
        return wrong


class VariantSettings(BaseModel):
    """A named change of a run's settings: `{ name = "exact", merging = { method = "exact" } }`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

    @property
    def changes(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def sets(self, table: str, key: str) -> bool:
        changed = self.changes.get(table)
        return isinstance(changed, Mapping) and key in changed


class CompareSettings(Settings):
    """The runs of `clues compare`: every combination of method, mode, seed and variant."""

    methods: Annotated[list[str], Field(min_length=1)]  # scoring methods
    modes: Annotated[list[Literal["merging", "federated"]], Field(min_length=1)] = ["merging"]  # of collaboration
    seeds: Annotated[list[int], Field(min_length=1)] = [1, 2, 3]  # the runs are repeated with each
    variants: list[VariantSettings] = []  # named changes of the settings; default: these as they are

    @model_validator(mode="after")
    def _consistent(self) -> CompareSettings:
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError("compare.variants.name: two variants share a name; give each its own.")
        for variant in self.variants:
            wrong = sorted({"seed", "out", "compare"} & set(variant.changes))
            wrong += ["scoring.method"] if variant.sets("scoring", "method") else []
            wrong += ["collaboration.mode"] if variant.sets("collaboration", "mode") and len(self.modes) > 1 else []
            if wrong:
                raise ValueError(
                    f"compare.variants: '{variant.name}' sets {', '.join(wrong)}; leave that to [compare] itself."
                )
        return self


class PartitionSettings(Settings):
    """An experiment's data from one clean or judged source: `clues partition`."""

    seed: Seed = 1
    samples: Source  # the file that is divided; all of it clean, or all of it judged
    data: DataSettings = DataSettings()
    clients: Annotated[list[str], Field(min_length=1)]  # names; with `by`, values of that field
    by: str | None = None  # the field that says which client owns a sample; default: each in turn
    domain: str | None = None  # the field that names the domain; without it, a domain is a file
    judged: bool = False  # the records say in `quality` whether they are good or low; none is corrupted
    shares: Annotated[list[Share], Field(min_length=1)] = [0.5]  # of low quality: one for all clients, or one for each
    dirichlet: Positive | None = None  # β: spreads the one share unevenly over the clients
    kinds: list[str] = ["cut", "delete", "exchange"]  # corruption types, in turn; natural: all natural ones
    severity: float = 0.5  # share of a response that is corrupted; types that replace all of it ignore this
    per_client: Annotated[int, Field(ge=2)] = 40  # at most so many samples a client
    max_words: Count | None = None  # longer responses are omitted; in scripts without spaces, two characters are a word
    validation: Count = 16  # validation samples of each domain
    anchors: Count = 10  # anchors of each domain
    tests: Annotated[int, Field(ge=0)] = 20  # held-out tests of each domain

    @property
    def natural(self) -> bool:
        """Whether clients have as many low-quality samples as there are, because no share was given."""
        return self.judged and "shares" not in self.model_fields_set

    @model_validator(mode="after")
    def _fits(self) -> PartitionSettings:
        wrong: list[str] = []
        if self.dirichlet and (len(self.shares) != 1 or self.natural):
            wrong.append("dirichlet: spreads one share; give one number in shares, the mean.")
        elif len(self.shares) not in (1, len(self.clients)):
            wrong.append(f"shares: give one number, or one for each of {len(self.clients)} clients.")
        if self.judged:
            given = [key for key in ("kinds", "severity") if key in self.model_fields_set]
            wrong += [f"{key}: judged samples are not corrupted; leave out --{key}, or --judged." for key in given]
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class ScoreSettings(Settings):
    """Scoring one's own file: `clues score`."""

    seed: Seed = 1
    samples: Source  # the file to score
    validation: Validation
    anchors: Anchors
    tests: list[Source] = []  # held-out tests that the samples should not contain
    # a folder of checkpoints to score along; default: a new one, trained on the samples
    trajectory: Source | None = None
    adapter: Source | None = None  # an adapter to score at, instead of a trajectory
    model: ModelSettings = ModelSettings()
    lora: LoraSettings = LoraSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()


class TrainSettings(Settings):
    """Fine-tuning on one's own file: `clues train`."""

    seed: Seed = 1
    samples: Source  # the file to train on
    model: ModelSettings = ModelSettings()
    lora: LoraSettings = LoraSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()


class SelectSettings(Settings):
    """Selecting scored samples: `clues select`. Model and data are those of the scored run."""

    labels: Source | None = None  # which samples are good: id, quality, kind; for metrics only
    # samples that their owner judged: id, quality (good, low or unsure); default: decisions.jsonl
    reviewed: Source | None = None
    selection: SelectionSettings = SelectionSettings()


class EvaluateSettings(Settings):
    """Evaluating a model on held-out tests: `clues evaluate`."""

    tests: list[Source] = []  # files of good samples that the model was not trained on
    adapter: Source | None = None  # the adapter to evaluate; default: the base model alone
    compare: bool = False  # evaluate the base model, too, and compare the two
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _consistent(self) -> EvaluateSettings:
        wrong: list[str] = []
        if not (self.tests or self.evaluation.choices or self.evaluation.harness):
            wrong.append("tests: give a file of tests, a file of multiple-choice questions by --choices, or --harness.")
        elif self.evaluation.judge and not self.tests:
            wrong.append("evaluation.judge: judges answers to tests; give a file of tests.")
        if self.compare and self.adapter is None:
            wrong.append("compare: compares an adapter with the base model; give --adapter.")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class MergeSettings(Settings):
    """Merging adapters: `clues merge`. `public`: samples to learn weights on."""

    seed: Seed = 1
    adapters: Annotated[list[Source], Field(min_length=1)]  # folders of the adapters
    public: list[Source] = []  # samples to learn weights on, for merging.weights learned
    model: ModelSettings = ModelSettings()
    data: DataSettings = DataSettings()
    merging: MergingSettings = MergingSettings()


class CorruptSettings(Settings):
    """Corrupting a share of a clean file: `clues corrupt`."""

    seed: Seed = 1
    samples: Source  # the file to corrupt
    share: Share  # of the samples, drawn at random
    kinds: list[str] = ["cut", "delete", "exchange"]  # corruption types, in turn; natural: all natural ones
    severity: float = 0.5  # share of a response that is corrupted; types that replace all of it ignore this
    data: DataSettings = DataSettings()
