"""The command line. It only parses arguments; `commands/` implements the commands."""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from clues.errors import CluesError, ConfigError
from clues.io.processes import is_main_process, process_count
from clues.io.progress import heartbeat, say, task
from clues.settings import CheckName, Rule

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Select good fine-tuning data: score private samples by gradients, keep the good ones, train together.",
)
models_app = typer.Typer(no_args_is_help=True, help="The embedded model.")
app.add_typer(models_app, name="models")

Set = Annotated[list[str] | None, typer.Option("--set", help="A setting, as key=value; repeatable.")]
Model = Annotated[
    str | None, typer.Option("--model", help="Hub id or folder of the base model; default: the embedded SmolLM2-135M.")
]
Seed = Annotated[int, typer.Option(help="Random seed.")]
Validation = Annotated[list[str], typer.Option(help="Good public samples that show what is wanted; repeatable.")]
Anchors = Annotated[list[str], typer.Option(help="A few good public samples that set the threshold; repeatable.")]
Labels = Annotated[str | None, typer.Option(help="Labels (id, quality: good|low, kind), for metrics only.")]

Kinds = Annotated[str, typer.Option(help="Corruption types: cut, delete, exchange, noise, foreign, wrong-choice.")]
Severity = Annotated[float, typer.Option(help="Share of a response that is corrupted.")]


def _list(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _flat(result: dict[str, Any]) -> dict[str, Any]:
    """A result with a row for each AUROC by corruption type and for each check."""
    rows = {key: value for key, value in result.items() if key not in ("auroc_by_kind", "checks")}
    rows |= {f"auroc {kind}": value for kind, value in result.get("auroc_by_kind", {}).items()}
    return rows | {f"check: {name}": count for name, count in result["checks"].items()}


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Report errors on stderr in one sentence: of users with exit code 2, our own with a log and exit code 1."""

    @functools.wraps(function)
    def guarded(*arguments: Any, **options: Any) -> None:
        try:
            if process_count() > 1 and function.__name__ != "score":
                raise ConfigError(f"clues {function.__name__}: runs in one process; start it without a launcher.")
            with heartbeat(), task(f"clues {function.__name__}"):
                function(*arguments, **options)
        except CluesError as error:
            print(f"Error: {error}", file=sys.stderr)  # not `say`, which prints in the main process only
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            say("Stopped. Run the same command again to continue.")
            raise typer.Exit(130) from None
        except Exception as error:
            if os.environ.get("CLUES_TRACEBACK"):
                raise
            log = Path(tempfile.gettempdir()) / f"clues-{function.__name__}-{os.getpid()}.log"
            log.write_text(traceback.format_exc(), encoding="utf-8")
            print(
                f"Error: clues {function.__name__} failed because of a bug ({type(error).__name__}); please "
                f"report it with {log}, which may quote your data. Finished work is kept.",
                file=sys.stderr,
            )
            raise typer.Exit(1) from None

    return guarded


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
    from clues.commands.tables import evaluation_tables, remark, selection_table, show, variants_table
    from clues.lab.demo import data_folder, write_demo_data
    from clues.lab.demo import demo as recipe

    if data_only:
        print(f"Data: {write_demo_data(data_folder(out), samples=samples, seed=seed)}")
        return
    settings, metrics = recipe(out, samples=samples, seed=seed, overrides=set_ or [])
    rule = f"{settings.scoring.method}, {metrics['threshold']['rule']}"
    show(selection_table(metrics, f"Selection ({rule})"), variants_table(metrics), *evaluation_tables(metrics))
    print(remark(metrics))


@app.command(epilog="Example: clues run runs/demo/config.toml --set collaboration.mode=federated --out runs/federated")
@_command
def run(
    config: Annotated[Path, typer.Argument(help="A TOML settings file.")],
    out: Annotated[Path | None, typer.Option(help="Output folder; overrides the setting 'out'.")] = None,
    engine: Annotated[str | None, typer.Option(help="What carries the messages: in-process.")] = None,
    set_: Set = None,
) -> None:
    """Run a collaboration: score, select, train together, evaluate."""
    from clues.commands.run import run as recipe
    from clues.commands.tables import evaluation_tables, selection_table, show

    settings = _run_settings(config, out, engine, set_)
    metrics = recipe(settings, Path(settings.out))
    show(selection_table(metrics, "Selection"), *evaluation_tables(metrics))


@app.command(epilog="Example: clues compare experiments/two-domains.toml --out runs/two-domains")
@_command
def compare(
    experiment: Annotated[Path, typer.Argument(help="A settings file with a table \\[compare].")],
    out: Path = typer.Option(...),
    also: Annotated[
        list[Path] | None, typer.Option(help="A settings file that overrides the experiment's; repeatable.")
    ] = None,
    set_: Set = None,
) -> None:
    """Compare methods × collaborations × variants × seeds and all thresholds; continues an interrupted comparison."""
    from clues.lab.compare import compare as recipe

    print(recipe([experiment, *(also or [])], out, overrides=set_ or []))


@app.command(epilog="Example: clues validate runs/demo/config.toml")
@_command
def validate(config: Path, set_: Set = None) -> None:
    """Check settings, files, model and template of a run; report all errors at once, train and write nothing."""
    from clues.collaboration.local import check

    settings = _run_settings(config, None, None, set_)
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
    method: Annotated[str | None, typer.Option(help="Scoring method; --method help lists all.")] = None,
    trajectory: Annotated[str | None, typer.Option(help="Score along this existing trajectory.")] = None,
    adapter: Annotated[str | None, typer.Option(help="Score at this adapter only.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train a trajectory first (default).")] = False,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Maximum samples per batch; affects speed only.")
    ] = None,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Score samples; trains a trajectory on them first, unless one is given."""
    from clues.commands.score import score as recipe
    from clues.commands.tables import facts_table, show
    from clues.settings import ScoreSettings, validated

    if train and (trajectory or adapter):
        raise ConfigError("--train: cannot be combined with --trajectory or --adapter; give one of the three.")
    values = {
        "seed": seed,
        "samples": samples,
        "validation": validation,
        "anchors": anchors,
        "tests": tests or [],
        "trajectory": trajectory,
        "adapter": adapter,
        "scoring": {name: value for name, value in (("method", method), ("batch_size", batch_size)) if value},
        **_model(model),
    }
    summary = recipe(validated(ScoreSettings, values, set_ or []), out)
    if is_main_process():
        show(facts_table(f"Scores in {out}", _flat(summary)))


@app.command(epilog="Example: clues select runs/mine --threshold anchor-mean --labels mixed.labels.jsonl")
@_command
def select(
    folder: Annotated[Path, typer.Argument(help="A folder written by clues score.")],
    threshold: Annotated[str | None, typer.Option(help=f"Threshold rule: {', '.join(get_args(Rule))}.")] = None,
    drop: Annotated[
        str | None, typer.Option(help=f"Checks whose findings are dropped: {', '.join(get_args(CheckName))}.")
    ] = None,
    labels: Labels = None,
    set_: Set = None,
) -> None:
    """Keep the samples whose score reaches the threshold; writes kept.jsonl, dropped.jsonl, selection.json."""
    from clues.commands.score import select as recipe
    from clues.commands.tables import facts_table, show
    from clues.settings import SelectSettings, validated

    values = {"labels": labels, "selection": {"threshold": threshold, "drop": _list(drop or "")}}
    settings = validated(SelectSettings, values, set_ or [])
    result = recipe(folder, settings.selection, settings.labels)
    show(facts_table(f"Selection in {folder}", _flat(result)))


@app.command(epilog="Example: clues train kept.jsonl --out runs/model")
@_command
def train(samples: str, out: Path = typer.Option(...), model: Model = None, seed: Seed = 1, set_: Set = None) -> None:
    """Fine-tune a LoRA adapter on a file; transformers and PEFT load OUT/adapter as it is."""
    from clues.commands.train import train as recipe
    from clues.settings import TrainSettings, validated

    settings = validated(TrainSettings, {"seed": seed, "samples": samples, **_model(model)}, set_ or [])
    print(f"Adapter: {recipe(settings, out)}")


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
    from clues.commands.train import merge_folders
    from clues.settings import MergeSettings, validated

    values = {
        "seed": seed,
        "adapters": adapters,
        "public": data or [],
        "merging": {"method": method, "weights": weights},
        **_model(model),
    }
    print(f"Adapter: {merge_folders(validated(MergeSettings, values, set_ or []), out)}")


@app.command(epilog="Example: clues evaluate test.jsonl --adapter runs/demo/server/global")
@_command
def evaluate(
    tests: list[str],
    adapter: Annotated[
        str | None, typer.Option(help="An adapter folder; without it, the base model is evaluated.")
    ] = None,
    generate: Annotated[
        int, typer.Option(min=0, help="Also generate answers of at most this many tokens, and compute F1 and ROUGE-L.")
    ] = 0,
    model: Model = None,
    set_: Set = None,
) -> None:
    """Measure held-out NLL and perplexity by domain; optionally token F1 and ROUGE-L of generated answers."""
    from clues.commands.tables import facts_table, show
    from clues.commands.train import evaluate_file
    from clues.settings import EvaluateSettings, validated

    values = {"tests": tests, "adapter": adapter, "evaluation": {"generate": generate}, **_model(model)}
    settings = validated(EvaluateSettings, values, set_ or [])
    for domain, figures in evaluate_file(settings).items():
        show(facts_table(domain, figures))


@app.command(epilog="Example: clues corrupt clean.jsonl --share 0.5 --kinds cut,delete,exchange --out mixed.jsonl")
@_command
def corrupt(
    samples: str,
    share: Annotated[float, typer.Option(help="Share of the samples to corrupt.")],
    out: Annotated[Path, typer.Option(help="Output file; labels go to OUT's stem + .labels.jsonl.")],
    kinds: Kinds = "cut,delete,exchange",
    severity: Severity = 0.5,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Corrupt a known share of a clean file and write its labels to a second file, for benchmarks."""
    from clues.commands.tables import facts_table, show
    from clues.lab.corruption import corrupt_file
    from clues.settings import CorruptSettings, validated

    values = {"seed": seed, "samples": samples, "share": share, "kinds": _list(kinds), "severity": severity}
    show(facts_table(str(out), corrupt_file(validated(CorruptSettings, values, set_ or []), out)))


@app.command(
    epilog="Example: clues partition icd10.jsonl --by source --clients en,es,fr --domain source --shares 0.2,0.5,0.8 "
    "--out runs/languages-data"
)
@_command
def partition(
    samples: str,
    clients: Annotated[str, typer.Option(help="Number of clients, or their names; with --by, values of that field.")],
    out: Annotated[Path, typer.Option(help="Output folder for the clients' and the public files.")],
    by: Annotated[str | None, typer.Option(help="The field that says which client owns a sample.")] = None,
    domain: Annotated[
        str | None, typer.Option(help="The field that names the domain; without it, there is one domain.")
    ] = None,
    shares: Annotated[str, typer.Option(help="Share of low quality: one for all clients, or one for each.")] = "0.5",
    dirichlet: Annotated[
        float | None, typer.Option(help="Concentration β: spread the one share unevenly over the clients.")
    ] = None,
    kinds: Kinds = "cut,delete,exchange",
    severity: Severity = 0.5,
    per_client: Annotated[int, typer.Option(min=2, help="Maximum samples per client.")] = 40,
    max_words: Annotated[int | None, typer.Option(min=1, help="Omit longer responses.")] = None,
    validation: Annotated[int, typer.Option(min=1, help="Validation samples per domain.")] = 16,
    anchors: Annotated[int, typer.Option(min=1, help="Anchors per domain.")] = 10,
    tests: Annotated[int, typer.Option(min=1, help="Held-out test samples per domain.")] = 20,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Turn a clean file into an experiment: clients of known quality, public files, tests."""
    from clues.commands.tables import facts_table, show
    from clues.lab.partition import partition as recipe
    from clues.settings import PartitionSettings, validated

    numbered = not by and clients.isdigit()
    values = {
        "seed": seed,
        "samples": samples,
        "clients": [f"client-{n + 1}" for n in range(int(clients))] if numbered else _list(clients),
        "by": by,
        "domain": domain,
        "shares": _list(shares),
        "dirichlet": dirichlet,
        "kinds": _list(kinds),
        "severity": severity,
        "per_client": per_client,
        "max_words": max_words,
        "validation": validation,
        "anchors": anchors,
        "tests": tests,
    }
    show(facts_table(str(out), recipe(validated(PartitionSettings, values, set_ or []), out)))


@models_app.command("fetch")
@_command
def fetch() -> None:
    """Download, verify and convert the embedded model; later commands need no network."""
    from clues.models.embedded import fetch as recipe

    print(recipe())


def _model(model: str | None) -> dict[str, dict[str, str]]:
    return {"model": {"id": model}} if model else {}


def _run_settings(config: Path, out: Path | None, engine: str | None, set_: list[str] | None) -> Any:
    from clues.settings import RunSettings, read_toml, validated

    values = read_toml(config)
    if out:
        values["out"] = str(out)
    if engine:
        values["collaboration"] = {**values.get("collaboration", {}), "engine": engine}
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
