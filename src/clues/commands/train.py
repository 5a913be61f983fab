"""`clues train`, `clues merge`, `clues evaluate`: the steps of a collaboration, each on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.data.prompts import tokenize
from clues.data.questions import read_questions
from clues.data.samples import read_many, read_private
from clues.errors import ConfigError, OutputError, all_of
from clues.evaluation.figures import figures
from clues.evaluation.held_out import evaluate_tests
from clues.evaluation.overlap import rouge_package
from clues.evaluation.test_set import HeldOut
from clues.io.files import replace_whole
from clues.io.run_folder import claim_folder, provenance, write_provenance
from clues.merging.merging import merge_adapters
from clues.merging.weights import learn_weights
from clues.methods.interface import Job, Public
from clues.models.adapters import attached, load_adapter, save_adapter
from clues.models.base import load_base
from clues.report.card import Card, write_card
from clues.settings import EvaluateSettings, MergeSettings, SiloSettings, TrainSettings
from clues.silo.silo import Silo
from clues.training.reporting import check_reporting


def train(settings: TrainSettings, out: Path) -> Path:
    """Fine-tune an adapter on a file; returns its folder, `out`/adapter. The trajectory lies beside it."""
    private, _ = all_of(
        lambda: read_private(settings.samples, settings.data), lambda: check_reporting(settings.training.report_to)
    )
    claim_folder(out, settings.model_dump(mode="json"))
    write_provenance(out)
    base = load_base(settings.model)
    tokens = tokenize(private.samples, base, settings.data)
    job = Job(base=base, private=tokens, public=Public.none(), settings=SiloSettings.of(settings))
    trained = Silo(job, folder=out).trajectory()
    replace_whole(out / "adapter", lambda part: save_adapter(trained.state, settings.lora, base, part))
    summary = f"A LoRA adapter that was trained on {len(tokens)} private samples."
    card = Card(title="clues-adapter", summary=summary)
    write_card(out / "adapter", card, settings.model_dump(mode="json"), versions=provenance())
    return out / "adapter"


def merge_folders(settings: MergeSettings, out: Path) -> Path:
    """Merge LoRA adapters of one base model, of any ranks, into `out`.

    Raises:
        CluesError: too few adapters, adapters that do not fit, data that cannot be used, or `out` is there already.
    """
    if len(settings.adapters) < 2:
        raise ConfigError("clues merge: give at least two adapter folders.")
    if settings.merging.weights in ("samples", "quality"):
        raise ConfigError("merging.weights: folders do not say how many samples they saw; use equal or learned.")
    if (settings.merging.weights == "learned") != bool(settings.public):
        raise ConfigError("clues merge: --weights learned and --data, a file of public samples, need each other.")
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another --out.")
    public = read_many(settings.public, settings.data)
    base = load_base(settings.model)
    adapters = [load_adapter(Path(folder), base) for folder in settings.adapters]
    weights = [1.0] * len(adapters)
    if public:
        tokens = tokenize(public, base, settings.data)
        weights = learn_weights(base, adapters, tokens=tokens, settings=settings.merging)
    state, config = merge_adapters(base, adapters, weights=weights, settings=settings.merging, seed=settings.seed)
    replace_whole(out, lambda part: save_adapter(state, config, base, part))
    summary = f"{len(adapters)} LoRA adapters in one, merged with weights {', '.join(f'{w:.3f}' for w in weights)}."
    card = Card(title="clues-merged", summary=summary)
    write_card(out, card, settings.model_dump(mode="json"), versions=provenance())
    return out


def evaluate_file(settings: EvaluateSettings) -> dict[str, Any]:
    """By domain of the tests and questions: NLL, perplexity, number of samples, and what `evaluation` asks for.

    Raises:
        CluesError: a file or the adapter cannot be used, or answers need a package that is missing.
    """
    if settings.evaluation.generate:
        rouge_package()
    samples, questions = all_of(
        lambda: read_many(settings.tests, settings.data),
        lambda: read_questions(settings.evaluation.choices, settings.data),
    )
    base = load_base(settings.model)
    tests = HeldOut.of(base, samples, settings.data, questions=questions)
    if settings.adapter is None:
        return figures(evaluate_tests(base.model, tests, settings.evaluation))
    state, lora = load_adapter(Path(settings.adapter), base)
    with attached(base, lora, state) as adapted:
        return figures(evaluate_tests(adapted, tests, settings.evaluation))
