"""The command line. It only parses arguments; `commands/` implements the commands.

What is heavy is imported after the settings were checked, so that a wrong one is reported at once.
"""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from clues.cli_bench import app as bench_app
from clues.cli_inspect import app as inspect_app
from clues.cli_silo import client as client_app
from clues.cli_silo import ledger as ledger_app
from clues.cli_silo import server as server_app
from clues.commands.guard import command as _command
from clues.commands.options import Anchors, Json, Labels, Model, Owner, Quiet, Seed, Set, Validation, base, given, names
from clues.data.records.sources import check_sources
from clues.errors import ConfigError
from clues.io.processes import is_main_process
from clues.io.progress import watched
from clues.settings import CheckName, Rule

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Select good fine-tuning data: score private samples by gradients, keep the good ones, train together.",
)
models_app = typer.Typer(no_args_is_help=True, help="The embedded model.")
app.add_typer(models_app, name="models")
app.add_typer(bench_app)
app.add_typer(inspect_app)
app.add_typer(client_app, name="client")
app.add_typer(server_app, name="server")
app.add_typer(ledger_app, name="ledger")


@app.command(epilog="Example: clues demo --out runs/demo")
@_command
def demo(
    out: Annotated[Path, typer.Option(help="Output folder of the run; its data goes to OUT-data.")] = Path("runs/demo"),
    samples: Annotated[int, typer.Option(min=10, help="Samples per client.")] = 40,
    data_only: Annotated[bool, typer.Option("--data-only", help="Only write the data.")] = False,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Run the whole method at small scale: four clients, two fields, the embedded model, real data."""
    from clues.commands.report import report_run
    from clues.commands.tables import evaluation_tables, pages, remark, selection_table, show, variants_table
    from clues.lab.demo import data_folder, write_demo_data
    from clues.lab.demo import demo as recipe

    if data_only:
        print(f"Data: {write_demo_data(data_folder(out), samples=samples, seed=seed)}")
        return
    settings, metrics = recipe(out, samples=samples, seed=seed, overrides=set_ or [])
    rule = f"{settings.scoring.method}, {metrics['threshold']['rule']}"
    show(selection_table(metrics, f"Selection ({rule})"), variants_table(metrics), *evaluation_tables(metrics))
    print(remark(metrics))
    report_run(out, settings)
    print(*pages(out), sep="\n")


@app.command(epilog="Example: clues run runs/demo/config.toml --set collaboration.mode=federated --out runs/federated")
@_command
def run(
    config: Annotated[Path, typer.Argument(help="A TOML settings file.")],
    out: Annotated[Path | None, typer.Option(help="Output folder; overrides the setting 'out'.")] = None,
    engine: Annotated[
        str | None, typer.Option(help="What carries the messages: in-process, simulation or deployment.")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
    set_: Set = None,
) -> None:
    """Run a collaboration: score, select, train together, evaluate."""
    settings = _run_settings(config, out, engine, set_)
    from clues.commands.run import run as recipe
    from clues.commands.tables import comparison_tables, evaluation_tables, pages, present, selection_table

    metrics = recipe(settings, Path(settings.out))
    tables = [selection_table(metrics, "Selection"), *evaluation_tables(metrics), *comparison_tables(metrics)]
    present(metrics, *tables, *pages(Path(settings.out)))


@app.command(epilog="Example: clues compare experiments/two-domains.toml --out runs/two-domains")
@_command
def compare(
    experiment: Annotated[Path, typer.Argument(help="A settings file with a table \\[compare].")],
    out: Path = typer.Option(...),
    also: Annotated[
        list[Path] | None, typer.Option(help="A settings file that overrides the experiment's; repeatable.")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
    set_: Set = None,
) -> None:
    """Compare methods × collaborations × variants × seeds and all thresholds; continues an interrupted comparison."""
    from clues.commands.tables import present
    from clues.lab.compare import compare as recipe

    text = recipe([experiment, *(also or [])], out, overrides=set_ or [])
    present(text, text)


@app.command(epilog="Example: clues validate runs/demo/config.toml")
@_command
def validate(config: Path, set_: Set = None) -> None:
    """Check settings, files, model and template of a run; report all errors at once, train and write nothing."""
    settings = _run_settings(config, None, None, set_)
    from clues.collaboration.checking import check

    check(settings)
    print(f"{config}: valid; {len(settings.clients)} clients, {settings.collaboration.mode}.")


@app.command(epilog="Example: clues score mixed.jsonl --validation val.jsonl --anchors anchors.jsonl --out runs/mine")
@_command
def score(
    samples: Annotated[
        str, typer.Argument(help="JSONL, JSON, CSV or Parquet, a folder or pattern of them, or a Hub data set.")
    ],
    validation: Validation,
    anchors: Anchors,
    out: Annotated[Path, typer.Option(help="Output folder.")],
    tests: Annotated[
        list[str] | None, typer.Option(help="Held-out tests that the samples should not contain; repeatable.")
    ] = None,
    model: Model = None,
    method: Annotated[str | None, typer.Option(help="Scoring method; clues methods lists all.")] = None,
    trajectory: Annotated[str | None, typer.Option(help="Score along this existing trajectory.")] = None,
    adapter: Annotated[str | None, typer.Option(help="Score at this adapter only.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Maximum samples per batch; affects speed only.")
    ] = None,
    seed: Seed = 1,
    quiet: Quiet = False,
    json: Json = False,
    set_: Set = None,
) -> None:
    """Score samples; trains a trajectory on them first, unless one is given."""
    from clues.settings import ScoreSettings, validated

    values = {
        "seed": seed,
        "samples": samples,
        "validation": validation,
        "anchors": anchors,
        "tests": tests or [],
        "trajectory": trajectory,
        "adapter": adapter,
        "scoring": {name: value for name, value in (("method", method), ("batch_size", batch_size)) if value},
        **base(model),
    }
    settings = validated(ScoreSettings, values, set_ or [])
    check_sources(settings.samples, *settings.validation, *settings.anchors, *settings.tests)
    from clues.commands.score import score as recipe
    from clues.commands.tables import facts_table, flat, present

    with watched(out):
        summary = recipe(settings, out)
    if is_main_process():
        present(summary, facts_table(f"Scores in {out}", flat(summary)), f"Next: clues select {out}")


@app.command(epilog="Example: clues select runs/mine --threshold anchor-mean --labels mixed.labels.jsonl")
@_command
def select(
    folder: Annotated[Path, typer.Argument(help="A folder written by clues score.")],
    threshold: Annotated[str | None, typer.Option(help=f"Threshold rule: {', '.join(get_args(Rule))}.")] = None,
    drop: Annotated[
        str | None, typer.Option(help=f"Checks whose findings are dropped: {', '.join(get_args(CheckName))}.")
    ] = None,
    labels: Labels = None,
    reviewed: Annotated[
        str | None,
        typer.Option(help="Samples that you judged (id, quality: good|low|unsure); default: decisions.jsonl."),
    ] = None,
    set_: Set = None,
) -> None:
    """Keep the samples whose score reaches the threshold; writes kept.jsonl, dropped.jsonl, report.html."""
    from clues.settings import SelectSettings, validated

    values = {
        "labels": labels,
        "reviewed": reviewed,
        "selection": {"threshold": threshold, "drop": names(drop or "")},
    }
    settings = validated(SelectSettings, values, set_ or [])
    from clues.commands.select import select as recipe
    from clues.commands.tables import facts_table, flat, next_steps, pages, show

    result = recipe(folder, settings.selection, labels=settings.labels, decisions=settings.reviewed)
    show(facts_table(f"Selection in {folder}", flat(result)))
    print(*pages(folder), *next_steps(folder, result, settings.selection), sep="\n")


@app.command(epilog="Example: clues report runs/demo")
@_command
def report(
    folder: Annotated[Path, typer.Argument(help="A folder written by clues run, demo or select.")],
) -> None:
    """Write the pages of a run or of a selection again: the coordinator's, and one for each data owner."""
    from clues.commands.report import report as recipe
    from clues.commands.tables import pages

    recipe(folder)
    print(*pages(folder), sep="\n")


@app.command(epilog="Example: clues suggest runs/mine --count 20")
@_command
def suggest(
    folder: Owner,
    count: Annotated[int, typer.Option(min=1, help="Number of samples.")] = 20,
) -> None:
    """Name the samples most worth reviewing; writes FOLDER/to-review.jsonl, where you fill in the field quality."""
    from clues.commands.suggest import suggest as recipe
    from clues.commands.tables import show, texts_table

    file, rows = recipe(folder, count)
    show(texts_table(f"Worth reviewing, in {file}", {row["id"]: row["response"] for row in rows}))
    print(f"Fill in quality (good, low or unsure) there. Next: clues review {folder} --reviewed {file}")


@app.command(epilog="Example: clues review runs/mine --count 20")
@_command
def review(
    folder: Owner,
    count: Annotated[int, typer.Option(min=1, help="Number of samples to review.")] = 20,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page on 127.0.0.1; 0: a free one.")] = 0,
    export: Annotated[
        Path | None, typer.Option(help="Write these samples to a .csv, or to a .json for Argilla, and end.")
    ] = None,
    reviewed: Annotated[
        str | None, typer.Option(help="Add the marks of such a file to decisions.jsonl, and end.")
    ] = None,
) -> None:
    """Judge samples on a page of your own browser: keep, drop or unsure. Each mark is written to decisions.jsonl."""
    from clues.commands.review import review as recipe

    if export and reviewed:
        raise ConfigError("--export: cannot be combined with --reviewed; give one of the two.")
    print(recipe(folder, count, port=port, exported=export, taken=reviewed))


@app.command(epilog="Example: clues train kept.jsonl --out runs/model")
@_command
def train(
    samples: str,
    out: Path = typer.Option(...),
    model: Model = None,
    seed: Seed = 1,
    quiet: Quiet = False,
    json: Json = False,
    set_: Set = None,
) -> None:
    """Fine-tune a LoRA adapter on a file; transformers and PEFT load OUT/adapter as it is."""
    from clues.settings import TrainSettings, validated

    settings = validated(TrainSettings, {"seed": seed, "samples": samples, **base(model)}, set_ or [])
    check_sources(settings.samples)
    from clues.commands.tables import present
    from clues.commands.train import train as recipe

    with watched(out):
        adapter = recipe(settings, out)
    present({"adapter": str(adapter)}, f"Adapter: {adapter}")


@app.command(epilog="Example: clues merge runs/a/adapter runs/b/adapter --method exact --out merged")
@_command
def merge(
    adapters: list[str],
    out: Path = typer.Option(...),
    method: Annotated[
        str, typer.Option(help="Merge method: exact, svd, linear, ties, dare-linear or dare-ties.")
    ] = "exact",
    weights: Annotated[str, typer.Option(help="Merge weights: equal, or learned on --data.")] = "equal",
    data: Annotated[list[str] | None, typer.Option(help="Public samples to learn weights on; repeatable.")] = None,
    model: Model = None,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Merge LoRA adapters of the same base model into one."""
    from clues.settings import MergeSettings, validated

    values = {
        "seed": seed,
        "adapters": adapters,
        "public": data or [],
        "merging": {"method": method, "weights": weights},
        **base(model),
    }
    settings = validated(MergeSettings, values, set_ or [])
    check_sources(*settings.public)
    from clues.commands.train import merge_folders

    print(f"Adapter: {merge_folders(settings, out)}")


@app.command(epilog="Example: clues evaluate test.jsonl --adapter runs/demo/server/global --compare")
@_command
def evaluate(
    tests: Annotated[list[str] | None, typer.Argument(help="Files of prompts and good responses.")] = None,
    adapter: Annotated[
        str | None, typer.Option(help="An adapter folder; without it, the base model is evaluated.")
    ] = None,
    choices: Annotated[
        list[str] | None, typer.Option(help="Multiple-choice questions: prompt, choices, answer; repeatable.")
    ] = None,
    generate: Annotated[
        int,
        typer.Option(
            min=0, help="Also generate answers of at most this many tokens: exact match, F1, ROUGE-L, and a judge."
        ),
    ] = 0,
    harness: Annotated[
        str | None, typer.Option(help="Tasks of the LM Evaluation Harness, separated by commas.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first items of each task of --harness.")] = None,
    compare: Annotated[
        bool, typer.Option("--compare", help="Evaluate the base model, too, and compare the adapter with it.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(help="Folder for evaluation.json and finished work; a judge needs it.")
    ] = None,
    model: Model = None,
    set_: Set = None,
) -> None:
    """Measure held-out NLL and multiple-choice accuracy by domain; optionally generated answers and tasks."""
    from clues.settings import EvaluateSettings, validated

    evaluation: dict[str, Any] = {"generate": generate, "choices": choices or []}
    if harness is not None or limit is not None:
        evaluation["harness"] = given(tasks=harness, limit=limit)
    values = {
        "tests": tests or [],
        "adapter": adapter,
        "compare": compare,
        "evaluation": evaluation,
        **base(model),
    }
    settings = validated(EvaluateSettings, values, set_ or [])
    check_sources(*settings.tests, *settings.evaluation.choices)
    from clues.commands.tables import comparison_tables, evaluation_tables, facts_table, show
    from clues.commands.train import evaluate_file

    metrics = evaluate_file(settings, out)
    if compare:
        show(*evaluation_tables(metrics), *comparison_tables(metrics))
        return
    for domain, by_model in metrics["evaluation"].items():
        show(*(facts_table(domain, figures) for figures in by_model.values()))


@models_app.command("fetch")
@_command
def fetch() -> None:
    """Download, verify and convert the embedded model; later commands need no network."""
    from clues.models.embedded import fetch as recipe

    print(recipe())


def _run_settings(config: Path, out: Path | None, engine: str | None, set_: list[str] | None) -> Any:
    from clues.settings import RunSettings, read_toml, validated

    values = read_toml(config)
    if out:
        values["out"] = str(out)
    if engine:
        values["engine"] = {**values.get("engine", {}), "name": engine}
    return validated(RunSettings, values, set_ or [], config.parent)


def main() -> None:
    """Entry point of the console script."""
    # Libraries must neither send telemetry nor write over our progress display.
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TQDM_DISABLE", "1")
    if not sys.warnoptions:  # hide libraries' warnings for developers; python -W default shows them
        warnings.simplefilter("ignore")
    app()


if __name__ == "__main__":
    main()
