"""`clues train`, `clues merge`, `clues evaluate`: the steps of a collaboration, each on its own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from clues.collaboration.merge_weights import learn_weights
from clues.collaboration.merging import merge
from clues.data.prompts import tokenize
from clues.data.samples import read_many, read_private
from clues.errors import ConfigError, OutputError
from clues.evaluation.held_out import evaluate_tests
from clues.evaluation.overlap import rouge_package
from clues.files import claim_folder, replace_whole
from clues.models.adapters import attached, load_adapter, save_adapter
from clues.models.base import load_base
from clues.recipes.provenance import write_provenance
from clues.settings import (
    DataSettings,
    EvaluationSettings,
    LoraSettings,
    MergingSettings,
    ModelSettings,
    TrainSettings,
)
from clues.training.fit import fit_trajectory


def train(settings: TrainSettings, out: Path) -> Path:
    """Fine-tune an adapter on a file; returns its folder, `out`/adapter. The trajectory lies beside it."""
    samples = read_private(settings.samples, settings.data).samples
    claim_folder(out, settings.model_dump(mode="json"))
    write_provenance(out)
    base = load_base(settings.model)
    tokens = tokenize(samples, base, settings.data)
    fit_trajectory(base, settings.lora, tokens, settings.training, settings.seed, out / "trajectory")
    last = max((out / "trajectory").glob("checkpoint-*"))
    replace_whole(out / "adapter", lambda part: shutil.copytree(last, part))
    for moment in ("moments.safetensors", "checkpoint.json"):
        (out / "adapter" / moment).unlink(missing_ok=True)
    return out / "adapter"


def merge_folders(
    adapters: Sequence[Path],
    model: ModelSettings,
    settings: MergingSettings,
    seed: int,
    out: Path,
    data: Sequence[str] = (),
) -> Path:
    """Merge adapters of one base and shape into `out`.

    Args:
        data: files of public samples; `settings.weights` learned needs them, equal weights use none.

    Raises:
        CluesError: too few adapters, adapters that do not fit, data that cannot be used, or `out` is there already.
    """
    if len(adapters) < 2:
        raise ConfigError("clues merge: give at least two adapter folders.")
    if settings.weights == "samples":
        raise ConfigError("merging.weights: folders do not say how many samples they saw; use equal or learned.")
    if (settings.weights == "learned") != bool(data):
        raise ConfigError("clues merge: --weights learned and --data, a file of public samples, need each other.")
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another --out.")
    base = load_base(model)
    loaded = [load_adapter(folder, base) for folder in adapters]
    shapes = [{name: t.shape for name, t in state.items()} for state, _ in loaded]
    for folder, shape in zip(adapters[1:], shapes[1:], strict=True):
        if shape != shapes[0]:
            raise ConfigError(f"{folder}: has other modules or another rank than {adapters[0]}; train them alike.")
    config = loaded[0][1]
    for folder, (_, other) in zip(adapters, loaded, strict=True):
        if other.lora_alpha != config.lora_alpha:
            raise ConfigError(
                f"{folder}: has lora.alpha {other.lora_alpha}, {adapters[0]} {config.lora_alpha}; train alike."
            )
    lora = LoraSettings(r=config.r, alpha=config.lora_alpha, target_modules=sorted(config.target_modules))
    states = [state for state, _ in loaded]
    weights = [1.0] * len(states)
    if data:
        tokens = tokenize(read_many(data), base)
        weights = learn_weights(base, states, lora, tokens, settings)
    state, merged = merge(base, states, lora, weights, settings, seed)
    replace_whole(out, lambda part: save_adapter(state, merged, base.name, part))
    return out


def evaluate_file(
    tests: Sequence[str],
    adapter: Path | None,
    model: ModelSettings,
    data: DataSettings,
    settings: EvaluationSettings | None = None,
) -> dict[str, Any]:
    """By domain of the test samples: NLL, perplexity, number of samples; of the base model, or with an adapter.

    Args:
        settings: `generate` and `generate_samples` ask for generated answers too; tests and arms play no part.

    Raises:
        CluesError: a file or the adapter cannot be used, or answers need a package that is missing.
    """
    chosen = settings or EvaluationSettings()
    if chosen.generate:
        rouge_package()
    samples = read_many(tests, data)
    base = load_base(model)
    tokens = tokenize(samples, base, data)
    if adapter is None:
        return evaluate_tests(base.model, base, samples, tokens, chosen, "")
    state, config = load_adapter(adapter, base)
    with attached(base, config, state) as adapted:
        return evaluate_tests(adapted, base, samples, tokens, chosen, "")
