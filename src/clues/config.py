"""One validated tree of settings. Every run saves it whole; every key has a default but the data."""

from __future__ import annotations

import difflib
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from clues.errors import ConfigError

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]


Rule = Literal[
    "anchor-mean",
    "anchor-quantile",
    "anchor-deviation",
    "anchor-normalised",
    "posterior",
    "ratio",
    "score",
    "oracle-ratio",
]


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSettings(Settings):
    """Which base model, and how it is loaded."""

    id: str = "smollm2-135m"
    revision: str | None = None
    gguf_file: str | None = None
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    device: str = "auto"
    quantization: Literal["none", "8bit", "4bit"] = "none"


class LoraSettings(Settings):
    """The adapter (LoRA, arXiv 2106.09685)."""

    r: Count = 8
    alpha: Positive = 16.0
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    target_modules: list[str] = ["q_proj", "v_proj"]


class DataSettings(Settings):
    """How records become token sequences."""

    dialect: Literal["auto", "alpaca", "prompt-completion", "prompt-response", "question-answer", "messages"] = "auto"
    max_tokens: Annotated[int, Field(ge=8)] = 512


class TrainingSettings(Settings):
    """Fine-tuning of an adapter, and how often its trajectory is recorded."""

    epochs: Positive = 2.0
    steps: Count | None = None  # optimizer steps instead of epochs: every arm then trains equally long
    batch_size: Count = 4
    gradient_accumulation: Count = 1
    learning_rate: Positive = 1e-3
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup_share: Share = 0.0
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    max_grad_norm: Positive = 1.0
    checkpoints: Count = 2


class ScoringSettings(Settings):
    """The score of a sample (CLUES, arXiv 2507.03004)."""

    method: str = "auto"
    walk: Literal["checkpoint", "in-run"] = "checkpoint"
    refreshes: Count = 4  # in-run: how often the validation direction is computed anew
    similarity: Literal["dot", "cosine"] = "cosine"
    preconditioner: Literal["none", "adam-frozen", "adam"] = "none"
    apply_to: Literal["both", "train"] = "both"
    loss_reduction: Literal["mean", "sum"] = "mean"
    projection: Annotated[int, Field(ge=0)] = 0  # dimensions that Adam directions are projected to; 0: exact
    contrast: Annotated[int, Field(ge=0)] = 0  # own samples whose mean gradient is taken off; 0: none, the paper
    modules: str = "*"
    domain_weights: dict[str, float] = {}
    by: Literal["none", "layer", "module"] = "none"  # one more column for each: what it contributes to `dot`
    batch_size: Count = 16
    batch_tokens: Count = 4096
    keep_passes: bool = False  # keep the scalars of every batch, for other methods on the same gradients

    @model_validator(mode="before")
    @classmethod
    def _in_run_is_clues(cls, values: Any) -> Any:
        """In-run scoring is method clues: naming the one is enough."""
        in_run = isinstance(values, Mapping) and values.get("walk") == "in-run"
        return {"method": "clues", **values} if in_run else values

    @model_validator(mode="after")
    def _consistent(self) -> ScoringSettings:
        wrong: list[str] = []
        others = self.preconditioner != "none" or self.contrast or self.by != "none"
        if self.walk == "in-run" and (self.method != "clues" or others):
            wrong.append("scoring.walk: in-run is method clues without preconditioner, contrast and by; leave these.")
        if self.projection and self.method != "less" and (self.method, self.preconditioner) != ("clues", "adam"):
            wrong.append("scoring.projection: is for method less, or clues with preconditioner adam; use 0 elsewhere.")
        if self.projection and self.by != "none":
            wrong.append("scoring.by: projected gradients have no parts; use none, or scoring.projection 0.")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class SelectionSettings(Settings):
    """The rule that turns anchor scores into a threshold."""

    threshold: Rule | None = None  # none named: the scoring method's own
    quantile: Share = 0.1
    deviations: float = 2.0
    ratio: Share = 0.5
    score: float = 0.0


class MergingSettings(Settings):
    """How K adapters become one."""

    method: Literal["linear", "ties", "dare-linear", "dare-ties", "svd", "exact"] = "exact"
    density: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    weights: Literal["equal", "samples", "learned"] = "equal"  # learned: on the public samples (the paper's adaptive)
    weight_steps: Count = 30  # learned: steps of Adam, each a pass over the public samples
    weight_learning_rate: Positive = 0.1
    scale: Positive = 1.0


class CollaborationSettings(Settings):
    """How the clients make one model together."""

    engine: Literal["in-process"] = "in-process"
    mode: Literal["merging", "federated"] = "merging"
    strategy: Literal["fedavg", "fedprox"] = "fedavg"
    rounds: Count = 3
    proximal_mu: Annotated[float, Field(ge=0.0)] = 0.1


class ClientSettings(Settings):
    """One data owner. `labels` (id, quality, kind) is for benchmarks, where the truth is known."""

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    data: str
    labels: str | None = None


class EvaluationSettings(Settings):
    """Held-out clean test files, and the models compared on them."""

    tests: list[str] = []
    arms: list[Literal["base", "mixed", "selected", "oracle", "ratio"]] = ["base", "mixed", "selected"]
    batch_tokens: Count = 4096
    generate: Annotated[int, Field(ge=0)] = 0  # most tokens of a generated answer; 0: none, as it costs time
    generate_samples: Count | None = None  # tests of each domain that are answered, the first; all where not given


class RunSettings(Settings):
    """A whole collaboration: `clues run CONFIG.toml`."""

    seed: int = 1
    out: str = "runs/run"
    validation: Annotated[list[str], Field(min_length=1)]
    anchors: Annotated[list[str], Field(min_length=1)]
    clients: Annotated[list[ClientSettings], Field(min_length=1)]
    model: ModelSettings = ModelSettings()
    lora: LoraSettings = LoraSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()
    selection: SelectionSettings = SelectionSettings()
    collaboration: CollaborationSettings = CollaborationSettings()
    merging: MergingSettings = MergingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()

    @model_validator(mode="after")
    def _consistent(self) -> RunSettings:
        ids = [client.id for client in self.clients]
        wrong: list[str] = []
        if len(set(ids)) != len(ids):
            wrong.append("clients.id: two clients share an id; give each its own.")
        unlabelled = [client.id for client in self.clients if client.labels is None]
        if unlabelled and "oracle" in self.evaluation.arms:
            wrong.append(f"evaluation.arms: 'oracle' needs labels of every client; {', '.join(unlabelled)} has none.")
        if unlabelled and self.selection.threshold == "oracle-ratio":
            wrong.append("selection.threshold: 'oracle-ratio' needs clients.labels of every client.")
        if self.collaboration.mode == "federated" and self.scoring.preconditioner != "none":
            wrong.append(
                "scoring.preconditioner: rounds of a federation carry no optimizer moments; use none, or mode merging."
            )
        if self.collaboration.mode == "federated" and self.scoring.walk == "in-run":
            wrong.append(
                "scoring.walk: in a federation the rounds are the trajectory; use checkpoint, or mode merging."
            )
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class VariantSettings(BaseModel):
    """A name, and beside it whatever settings of a run it changes: `merging = { method = "exact" }`."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]

    @property
    def changes(self) -> dict[str, Any]:
        return dict(self.model_extra or {})

    def sets(self, table: str, key: str) -> bool:
        changed = self.changes.get(table)
        return isinstance(changed, Mapping) and key in changed


class CompareSettings(Settings):
    """What `clues compare` runs: every method in every mode with every seed, and each of these in every variant."""

    methods: Annotated[list[str], Field(min_length=1)]
    modes: Annotated[list[Literal["merging", "federated"]], Field(min_length=1)] = ["merging"]
    seeds: Annotated[list[int], Field(min_length=1)] = [1, 2, 3]
    variants: list[VariantSettings] = []

    @model_validator(mode="after")
    def _told_apart(self) -> CompareSettings:
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
    """An experiment's data out of one clean file: `clues partition`."""

    seed: int = 1
    clients: Annotated[list[str], Field(min_length=1)]  # names; with `by`, values of that field
    by: str | None = None
    domain: str | None = None  # the field that names a domain; none: all samples are of one
    shares: Annotated[list[Share], Field(min_length=1)] = [0.5]  # of low quality: one for all, or one a client
    dirichlet: Positive | None = None  # β: spreads the one share unevenly over the clients
    kinds: list[str] = ["cut", "delete", "exchange"]
    severity: float = 0.5
    per_client: Annotated[int, Field(ge=2)] = 40
    max_words: Count | None = None  # longer responses are left out
    validation: Count = 16
    anchors: Count = 10
    tests: Count = 20

    @model_validator(mode="after")
    def _fits(self) -> PartitionSettings:
        if self.dirichlet and len(self.shares) != 1:
            raise ValueError("dirichlet: spreads one share; give one number in shares, the mean.")
        if len(self.shares) not in (1, len(self.clients)):
            raise ValueError(f"shares: give one number, or one for each of {len(self.clients)} clients.")
        return self


class ScoreSettings(Settings):
    """Scoring one's own file: `clues score`."""

    seed: int = 1
    samples: str
    validation: Annotated[list[str], Field(min_length=1)]
    anchors: Annotated[list[str], Field(min_length=1)]
    trajectory: str | None = None
    adapter: str | None = None
    model: ModelSettings = ModelSettings()
    lora: LoraSettings = LoraSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()
    scoring: ScoringSettings = ScoringSettings()


class TrainSettings(Settings):
    """Fine-tuning on one's own file: `clues train`."""

    seed: int = 1
    samples: str
    model: ModelSettings = ModelSettings()
    lora: LoraSettings = LoraSettings()
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings()


S = typing.TypeVar("S", bound=Settings)


def validated(kind: type[S], values: Mapping[str, Any], overrides: Sequence[str] = ()) -> S:
    """Build settings of `kind`, applying `key=value` overrides first.

    Raises:
        ConfigError: every wrong key at once, each with its remedy.
    """
    tree, wrong = _with_overrides(values, overrides)
    try:
        settings = kind.model_validate(tree)
    except ValidationError as error:
        wrong += [_sentence(kind, dict(item)) for item in error.errors()]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return settings


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises ConfigError when it is missing or broken."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give the path of a TOML file of settings.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML ({error}); mend that place.") from None


def _with_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    tree = {key: dict(item) if isinstance(item, Mapping) else item for key, item in values.items()}
    wrong: list[str] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            wrong.append(f"--set {override}: write it as key=value, for example scoring.similarity=dot.")
            continue
        *path, last = key.strip().split(".")
        node: Any = tree
        for name in path:
            node = node.setdefault(name, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            wrong.append(f"--set {override}: {'.'.join(path)} is not a table of settings; check the key.")
            continue
        node[last] = _toml_value(text)
    return tree, wrong


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _sentence(kind: type[Settings], error: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(error["loc"][-1]), _keys(kind, error["loc"][:-1]), n=1)
        hint = f"did you mean '{near[0]}'?" if near else "remove it."
        return f"{key}: unknown setting; {hint}"
    if error["type"] == "missing":
        return f"{key}: is required; add it."
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]} (got {error['input']!r}); change it."


def _keys(kind: Any, location: Sequence[Any]) -> list[str]:
    """Names of the settings in the table at `location`."""
    for part in location:
        if isinstance(part, int):
            continue
        kind = kind.model_fields[part].annotation
        while not isinstance(kind, type) or isinstance(kind, types.GenericAlias):
            kind = typing.get_args(kind)[0]
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
