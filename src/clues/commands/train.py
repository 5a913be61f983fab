"""`clues train`, `clues merge`, `clues evaluate`: the steps of a collaboration, each on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.data.prompts import tokenize
from clues.data.questions import read_questions
from clues.data.samples import read_many, read_private
from clues.errors import ConfigError, OutputError, all_of
from clues.evaluation.held_out import check_packages, evaluate_models
from clues.evaluation.judge.endpoint import greet_judge
from clues.evaluation.test_set import HeldOut
from clues.io.files import replace_whole, write_json
from clues.io.run_folder import claim_folder, provenance, refuse_other_run, write_provenance
from clues.io.store import Store
from clues.merging.merging import Adapter, merge_adapters
from clues.merging.weights import learn_weights
from clues.methods.interface import Job, Public
from clues.models.adapters import load_adapter, save_adapter
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


def evaluate_file(settings: EvaluateSettings, out: Path | None = None) -> dict[str, Any]:
    """Figures of the model by domain, and with `compare` those of the base model, too, and the differences.

    Args:
        out: a folder for evaluation.json and finished work; a judge needs it, so that no judgement is lost.

    Returns:
        `evaluation` and `comparisons`, as in the metrics.json of a run.

    Raises:
        CluesError: a file or the adapter cannot be used, a package is missing, or a judge or a task fails.
    """
    if settings.evaluation.judge and out is None:
        raise ConfigError("evaluation.judge: judgements are kept in a folder; name one by --out.")
    if out:
        refuse_other_run(out, settings.model_dump(mode="json"))
    _, samples, questions = all_of(
        lambda: check_packages(settings.evaluation),
        lambda: read_many(settings.tests, settings.data),
        lambda: read_questions(settings.evaluation.choices, settings.data),
    )
    base = load_base(settings.model)
    tests = HeldOut.of(base, samples, settings.data, questions=questions)
    models: dict[str, Adapter | None] = {"base": None} if settings.compare or settings.adapter is None else {}
    if settings.adapter:
        models["adapter"] = load_adapter(Path(settings.adapter), base)
    if out:
        claim_folder(out, settings.model_dump(mode="json"))
    store = Store(out / "store") if out else Store.temporary()
    if settings.evaluation.judge:
        greet_judge(settings.evaluation.judge, store)
    metrics = evaluate_models(tests, models, settings.evaluation, store=store, arm="adapter").as_metrics()
    if out:
        write_json(out / "evaluation.json", metrics)
    return metrics
