"""The tables of settings: one class per table, with the default of every key."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from clues.settings.sources import EMBEDDED, Source

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Count = Annotated[int, Field(ge=1)]
ClientId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]  # also the name of a folder
# Keys of several commands; the description is what the reference of settings says of them.
Seed = Annotated[int, Field(description="of all that is random; the same seed gives the same bytes")]
Validation = Annotated[list[Source], Field(min_length=1, description="files of good samples that scores refer to")]
Anchors = Annotated[list[Source], Field(min_length=1, description="files of other good samples that set the threshold")]


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


CheckName = Literal[
    "empty",
    "mojibake",
    "unfinished",
    "language",
    "refusal",
    "template",
    "residue",
    "loop",
    "echo",
    "public",
    "test",
    "duplicate",
]


Dialect = Literal[
    "auto",
    "messages",
    "alpaca",
    "prompt-completion",
    "prompt-response",
    "question-answer",
    "sharegpt",
    "instruction-response",
    "question-response",
]


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelSettings(Settings):
    """The base model and how it is loaded."""

    id: Source = EMBEDDED  # a folder or a Hub id; default: the embedded model of 135M parameters
    revision: str | None = None  # branch, tag or commit of a model on the Hub; default: main
    gguf_file: str | None = None  # the file of the model that holds its weights as GGUF; default: none
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"  # of the base model's weights
    device: str = "auto"  # auto, cpu, cuda, cuda:N or mps; auto: a graphics card where there is one
    # of the base model, by bitsandbytes (the extra quantized)
    quantization: Literal["none", "8bit", "4bit"] = "none"
    any_base: bool = False  # accept adapters of other or unknown bases


class LoraSettings(Settings):
    """The adapter (LoRA, arXiv 2106.09685)."""

    r: Count = 8  # the rank of the two matrices of an update
    alpha: Positive = 16.0  # an update is multiplied by alpha / r
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0  # share of an adapter's inputs set to 0 while training
    # Names of modules, or all-linear, or a regular expression that matches full names.
    target_modules: Annotated[list[str], Field(min_length=1)] | str = ["q_proj", "v_proj"]


class DataSettings(Settings):
    """How records become token sequences."""

    dialect: Dialect = "auto"  # the layout of records; auto: detected, for each file
    # of a sample; of a longer one the middle of the prompt is cut, then the end of the response
    max_tokens: Annotated[int, Field(ge=8)] = 512
    # Which assistant turns carry loss: only the last, or all of them.
    responses: Literal["last", "all"] = "last"
    template: Source | None = None  # the name of one of the model's chat templates, or a file with one


class TrainingSettings(Settings):
    """Fine-tuning of an adapter; `checkpoints` is the number of recorded points of its trajectory."""

    epochs: Positive = 2.0  # passes over the samples
    steps: Count | None = None  # optimizer steps; replaces epochs, so that every arm trains equally long
    batch_size: Count = 4  # samples of a forward and backward pass
    gradient_accumulation: Count = 1  # such passes of an optimizer step
    learning_rate: Positive = 1e-3  # of AdamW, at its highest point
    schedule: Literal["constant", "linear", "cosine"] = "linear"  # how the learning rate falls after the warm-up
    warmup_share: Share = 0.0  # share of the steps in which the learning rate rises from 0
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0  # of AdamW
    max_grad_norm: Positive = 1.0  # gradients are clipped to this L2 norm
    # points of the trajectory at which samples are scored, at equal distances of steps or of federated rounds; the last
    # is the end
    checkpoints: Count = 2
    report_to: list[Literal["tensorboard", "wandb", "mlflow"]] = []  # who gets losses, in OUT/logs


class ScoringSettings(Settings):
    """The score of a sample (CLUES, arXiv 2507.03004)."""

    method: str = "auto"  # the scoring method; `clues methods` lists them
    # checkpoint: pass over the samples again at each recorded point; in-run: use the gradients of the training itself
    walk: Literal["checkpoint", "in-run"] = "checkpoint"
    refreshes: Count = 4  # in-run: how often the validation direction is recomputed
    # clues: of a sample's gradient with the mean gradient of the validation set (the paper: dot)
    similarity: Literal["dot", "cosine"] = "cosine"
    # what is compared: gradients; these divided by the root of Adam's second moment; or Adam's next updates
    preconditioner: Literal["none", "adam-frozen", "adam"] = "none"
    # which gradients are preconditioned: of samples and validation set, or of samples only
    apply_to: Literal["both", "train"] = "both"
    loss_reduction: Literal["mean", "sum"] = "mean"  # over the tokens of a response; sum: longer responses weigh more
    projection: Annotated[int, Field(ge=0)] = 0  # dimensions that Adam directions are projected to; 0: exact
    contrast: Annotated[int, Field(ge=0)] = 0  # private samples whose mean gradient is subtracted; 0: none (the paper)
    modules: str = "*"  # a glob over the adapter's modules whose gradients are used; default: all
    domain_weights: dict[str, float] = {}  # by domain of the validation set; default: 1 each
    by: Literal["none", "layer", "module"] = "none"  # adds a column for the contribution of each to `dot`
    batch_size: Count = 16  # at most so many samples a batch; grows with the free memory of a graphics card
    # at most so many tokens a batch, padding included; grows likewise. Larger batches are no faster without a card
    batch_tokens: Count = 1024
    keep_passes: bool = False  # keep the results of passes for other methods that use the same gradients

    @model_validator(mode="before")
    @classmethod
    def _in_run_is_clues(cls, values: Any) -> Any:
        """In-run scoring implies method clues."""
        in_run = isinstance(values, Mapping) and values.get("walk") == "in-run"
        return {"method": "clues", **values} if in_run else values

    @model_validator(mode="after")
    def _consistent(self) -> ScoringSettings:
        wrong: list[str] = []
        others = self.preconditioner != "none" or self.contrast or self.by != "none"
        if self.walk == "in-run" and (self.method != "clues" or others):
            wrong.append(
                "scoring.walk: in-run is method clues without preconditioner, contrast and by; leave these out."
            )
        if self.projection and self.method != "less" and (self.method, self.preconditioner) != ("clues", "adam"):
            wrong.append("scoring.projection: is for method less, or clues with preconditioner adam; use 0 elsewhere.")
        if self.projection and self.by != "none":
            wrong.append("scoring.by: projected gradients have no parts; use none, or scoring.projection 0.")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class SelectionSettings(Settings):
    """The rule that derives a threshold from anchor scores, and what is dropped whatever its score."""

    threshold: Rule | None = None  # default: the scoring method's own
    quantile: Share = 0.1  # anchor-quantile: the share of anchors below the threshold
    deviations: float = 2.0  # anchor-deviation: standard deviations of the anchors below their mean
    ratio: Share = 0.5  # ratio: the share of its samples that each client keeps, the best ones
    score: float = 0.0  # score: the lowest score that is kept
    drop: list[CheckName] = []  # checks whose findings are dropped


class MergingSettings(Settings):
    """How adapters are merged."""

    # exact: the weighted mean of the updates B·A; svd: that, at the rank of one adapter; linear: the means of A and of
    # B; ties: arXiv 2306.01708 (the paper's); dare: arXiv 2311.03099
    method: Literal["linear", "ties", "dare-linear", "dare-ties", "svd", "exact"] = "exact"
    density: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2  # ties, dare: the share of an update's numbers that is used
    # equal: 1 each; samples: how many an adapter was trained on; quality: how many of them are expected to be good
    # (method auto); learned: on public samples (the paper's adaptive weights)
    weights: Literal["equal", "samples", "quality", "learned"] = "equal"
    weight_steps: Count = 30  # learned: Adam steps, each over all public samples
    weight_learning_rate: Positive = 0.1  # learned: of Adam
    scale: Positive = 1.0  # the merged update is multiplied by it


class CollaborationSettings(Settings):
    """How the clients train one model together. If `train` is false, they only select."""

    train: bool = True  # on what is selected; false: the run ends with the selection
    # merging: each client trains once, and adapters are merged; federated: they train in rounds
    mode: Literal["merging", "federated"] = "merging"
    # federated: how the server combines the adapters of a round; the last three resist clients that lie
    strategy: Literal["fedavg", "fedprox", "fedavgm", "fedadam", "fedyogi", "median", "trimmed-mean", "krum"] = "fedavg"
    rounds: Count = 3  # federated: how often the server averages
    proximal_mu: Annotated[float, Field(ge=0.0)] = 0.1  # fedprox: the weight of the distance to the global adapter
    # separate: A and B are averaged; exact: their products are, and factored to the rank of the adapters
    aggregation: Literal["separate", "exact"] = "separate"
    server_learning_rate: Positive | None = None  # fedavgm, fedadam, fedyogi; default: Flower's
    server_momentum: Share | None = None  # fedavgm; default: Flower's
    beta_1: Share | None = None  # fedadam, fedyogi: decay of the first moment; default: Flower's
    beta_2: Share | None = None  # fedadam, fedyogi: decay of the second moment; default: Flower's
    tau: Positive | None = None  # fedadam, fedyogi: added to the root of the second moment; default: Flower's
    trim: Share | None = None  # trimmed-mean: the share of clients left out at either end
    malicious: Count | None = None  # krum: clients that may lie
    wire: Literal["float32", "float16"] = "float32"  # of adapters in messages; sums are float32

    @property
    def strategy_options(self) -> dict[str, float]:
        """The options of the strategy that are set."""
        names = ("server_learning_rate", "server_momentum", "beta_1", "beta_2", "tau", "trim", "malicious")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class EngineSettings(Settings):
    """What carries the messages, and how long the coordinator waits for the clients."""

    # all clients in this process; the same by Flower and Ray, with the extra simulation; or each on its owner's machine
    name: Literal["in-process", "simulation", "deployment"] = "in-process"
    quorum: Count | None = None  # go on with so many clients if others fail; default: all
    attempts: Count = 2  # how often a client that fails is asked before it is left out
    wait: Positive = 600.0  # seconds until the clients of a deployment are there
    deadline: Positive = 86400.0  # seconds until a message is answered
    address: str | None = None  # deployment: host:port of the SuperLink
    root_certificates: Source | None = None  # deployment: the certificate that signed the SuperLink's


class JudgeSettings(Settings):
    """A language model behind an OpenAI-compatible endpoint that judges generated answers.

    The tests and the answers are sent there. Prices are per million tokens, in any currency.
    """

    url: str  # the base URL, up to /v1
    model: Annotated[str, Field(min_length=1)]  # its name at the endpoint
    key_env: str | None = None  # the environment variable that holds the API key
    scale: Literal[1, 10] = 10  # scores are 0 to 1, or 1 to 10
    pairs: bool = True  # also ask which of two models' answers is better, in both orders
    # Other fields of each request. Some models refuse these and want others, such as max_completion_tokens.
    request: dict[str, Any] = {"temperature": 0.0, "max_tokens": 512}
    concurrency: Count = 4  # requests under way at the same time
    timeout: Positive = 60.0  # seconds until a request is repeated
    retries: Annotated[int, Field(ge=0)] = 5  # of a request; the wait doubles from one to the next
    input_price: Annotated[float, Field(ge=0.0)] | None = None  # of a million tokens of requests, for the estimate
    output_price: Annotated[float, Field(ge=0.0)] | None = None  # of a million tokens of replies
    budget: Positive | None = None  # ask nothing if the estimated price is above it; default: no limit

    @property
    def most_tokens(self) -> int | None:
        """The greatest length of a reply, where the request limits it."""
        limits = (self.request.get(name) for name in ("max_tokens", "max_completion_tokens"))
        return next((limit for limit in limits if isinstance(limit, int)), None)

    @model_validator(mode="after")
    def _consistent(self) -> JudgeSettings:
        wrong: list[str] = []
        if not re.fullmatch(r"https?://[^\s/@?#]+[^\s@?#]*", self.url):
            wrong.append(
                "evaluation.judge.url: is not the base URL of an endpoint, such as https://api.openai.com/v1; give one "
                "without user name, password or query."
            )
        if self.key_env is not None and not re.fullmatch(r"[A-Z_][A-Z0-9_]*", self.key_env):
            # The value may be the key itself, so it is not shown.
            wrong.append(
                "evaluation.judge.key_env: is not the name of an environment variable in capitals; put the API key "
                "into one, such as OPENAI_API_KEY, and give its name, never the key."
            )
        own = sorted({"model", "messages", "n", "stream"} & set(self.request))
        if own:
            wrong.append(f"evaluation.judge.request: {', '.join(own)} cannot be set there; leave it out.")
        if self.budget is not None and None in (self.input_price, self.output_price, self.most_tokens):
            wrong.append(
                "evaluation.judge.budget: needs input_price, output_price, and max_tokens in request; give all three."
            )
        if wrong:
            raise ValueError("\n".join(wrong))
        return self


class HarnessSettings(Settings):
    """Tasks of the LM Evaluation Harness. Their data come from the Hugging Face Hub, unless a task has its own."""

    tasks: Annotated[list[str], Field(min_length=1)]  # their names in the harness
    limit: Count | None = None  # only so many items of each task, the first ones; default: all
    folder: Source | None = None  # a folder of further tasks, as YAML files
    few_shot: Annotated[int, Field(ge=0)] | None = None  # examples in the prompt; default: each task's own
    chat_template: bool = False  # whether to render prompts with the model's chat template


class EvaluationSettings(Settings):
    """Held-out clean test files, files of multiple-choice questions, and the models compared on them."""

    tests: list[Source] = []  # files of good samples that nobody trains on
    choices: list[Source] = []  # files of multiple-choice questions: prompt, choices, answer
    # the models: untrained; trained on all samples, on the kept ones, on the truly good ones, on the better-scoring
    # half of each client, or on validation set and anchors alone
    arms: list[Literal["base", "mixed", "selected", "oracle", "ratio", "public"]] = ["base", "mixed", "selected"]
    batch_tokens: Count = 4096  # at most so many tokens a batch, padding included
    generate: Annotated[int, Field(ge=0)] = 0  # maximum tokens of a generated answer; 0: generate none
    generate_samples: Count | None = None  # answer only the first tests of each domain; default: all
    judge: JudgeSettings | None = None  # default: none
    harness: HarnessSettings | None = None  # default: none

    @model_validator(mode="after")
    def _judged(self) -> EvaluationSettings:
        if self.judge and not self.generate:
            raise ValueError("evaluation.judge: judges generated answers; set evaluation.generate.")
        return self
