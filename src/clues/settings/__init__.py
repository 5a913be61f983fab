"""One validated tree of settings. Every run saves it whole; every key has a default but the data."""

from clues.settings.commands import (
    CompareSettings as CompareSettings,
)
from clues.settings.commands import (
    CorruptSettings as CorruptSettings,
)
from clues.settings.commands import (
    EvaluateSettings as EvaluateSettings,
)
from clues.settings.commands import (
    MergeSettings as MergeSettings,
)
from clues.settings.commands import (
    PartitionSettings as PartitionSettings,
)
from clues.settings.commands import (
    RunSettings as RunSettings,
)
from clues.settings.commands import (
    ScoreSettings as ScoreSettings,
)
from clues.settings.commands import (
    SelectSettings as SelectSettings,
)
from clues.settings.commands import (
    SiloSettings as SiloSettings,
)
from clues.settings.commands import (
    TrainSettings as TrainSettings,
)
from clues.settings.commands import (
    VariantSettings as VariantSettings,
)
from clues.settings.reading import read_toml as read_toml
from clues.settings.reading import validated as validated
from clues.settings.tables import (
    ClientSettings as ClientSettings,
)
from clues.settings.tables import (
    CollaborationSettings as CollaborationSettings,
)
from clues.settings.tables import (
    Count as Count,
)
from clues.settings.tables import (
    DataSettings as DataSettings,
)
from clues.settings.tables import (
    EvaluationSettings as EvaluationSettings,
)
from clues.settings.tables import (
    LoraSettings as LoraSettings,
)
from clues.settings.tables import (
    MergingSettings as MergingSettings,
)
from clues.settings.tables import (
    ModelSettings as ModelSettings,
)
from clues.settings.tables import (
    Positive as Positive,
)
from clues.settings.tables import (
    Rule as Rule,
)
from clues.settings.tables import (
    ScoringSettings as ScoringSettings,
)
from clues.settings.tables import (
    SelectionSettings as SelectionSettings,
)
from clues.settings.tables import (
    Settings as Settings,
)
from clues.settings.tables import (
    Share as Share,
)
from clues.settings.tables import (
    TrainingSettings as TrainingSettings,
)
