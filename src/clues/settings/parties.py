"""Settings of a collaboration by who owns them: terms that every party knows, and each data owner's own file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from clues.settings.commands import RunSettings
from clues.settings.privacy import MaskSettings, PrivacyLimits, PrivacySettings
from clues.settings.reading import read_toml, validated
from clues.settings.sources import EMBEDDED, Source
from clues.settings.tables import (
    ClientId,
    CollaborationSettings,
    Count,
    DataSettings,
    Dialect,
    LoraSettings,
    MergingSettings,
    ModelSettings,
    ScoringSettings,
    SelectionSettings,
    Settings,
    TrainingSettings,
)


class ModelTerms(Settings):
    """The base model that all parties use. The digest decides; the name is for people."""

    name: str
    digest: str


class Terms(Settings):
    """What every party of a collaboration knows. It travels to the clients and names no file of anybody."""

    seed: int
    model: ModelTerms
    lora: LoraSettings
    data: DataSettings
    training: TrainingSettings
    scoring: ScoringSettings
    selection: SelectionSettings
    collaboration: CollaborationSettings
    merging: MergingSettings
    privacy: PrivacySettings

    @classmethod
    def of(cls, settings: RunSettings, *, digest: str) -> Terms:
        """The part of a run's settings that is not the coordinator's own.

        Args:
            digest: that of the base model.
        """
        shared = {name: getattr(settings, name) for name in cls.model_fields if name not in ("model", "data")}
        model = ModelTerms(name=public_name(settings.model.id), digest=digest)
        data = settings.data
        if data.template and Path(data.template).is_file():
            data = data.model_copy(update={"template": Path(data.template).read_text(encoding="utf-8")})
        return cls(**shared, model=model, data=data)


def public_name(model: str) -> str:
    """The name of a model without the folder that holds it."""
    return Path(model).name if Path(model).is_absolute() else model


class AllowSettings(Settings):
    """What a data owner allows a coordinator to ask for."""

    modes: list[Literal["merging", "federated"]] = ["merging", "federated"]  # of collaboration; default: both
    megabytes: Count = 512  # 2²⁰ bytes, the most of a message
    samples: Count = 1  # the fewest that an adapter is trained on: one of few shows much of them
    thresholds: Count = 256  # different ones in a job: each tells a point of the distribution of the scores
    report_to: list[Literal["wandb", "mlflow"]] = []  # where a run may have losses sent from here


class ServerSettings(Settings):
    """The coordinator's server, as a data owner reaches it."""

    address: str  # host:port
    root_certificates: Source | None = None  # what signed the server's certificate; without it, nothing is encrypted
    key: Source | None = None  # the private key by which the server knows this client


class SiloFile(Settings):
    """A data owner's own settings: `clues client start SILO.toml`. Nothing of it is sent to anybody."""

    id: ClientId  # the name by which the server knows this client
    data: Source  # the private samples
    labels: Source | None = None  # for benchmarks: which samples are good
    folder: str = "silo"  # private results; looked up beside this file
    by_job: bool = True  # results are in a folder for each job; false: the folder is that of one job
    dialect: Dialect = "auto"  # the layout of records; auto: detected
    model: ModelSettings = ModelSettings(id=EMBEDDED)
    batch_size: Count | None = None  # of scoring, at most so many samples; default: the coordinator's
    batch_tokens: Count | None = None  # of scoring, at most so many tokens; default: the coordinator's
    allow: AllowSettings = AllowSettings()
    server: ServerSettings | None = None  # required to take part
    privacy: PrivacyLimits | None = None  # default: what the coordinator asks is done
    masks: MaskSettings | None = None  # default: runs with masks cannot be joined

    def scoring(self, terms: Terms) -> ScoringSettings:
        """How this owner scores: as agreed, in batches of its own size."""
        own = {"batch_size": self.batch_size, "batch_tokens": self.batch_tokens}
        return terms.scoring.model_copy(update={key: value for key, value in own.items() if value is not None})

    def reading(self, terms: Terms) -> DataSettings:
        """How this owner reads its file, and renders it as agreed."""
        return terms.data.model_copy(update={"dialect": self.dialect})


def read_silo(file: Path) -> SiloFile:
    """A data owner's file. `folder` is looked up beside it. Raises ConfigError if it is wrong."""
    silo = validated(SiloFile, read_toml(file), folder=file.parent)
    return silo.model_copy(update={"folder": str(Path(file.parent, silo.folder).absolute())})
