"""The commands: parsing of arguments only. What a command does stands in `commands/`."""

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
from clues.settings import Rule

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Score private fine-tuning data by gradients, keep the good, train together.",
)
models_app = typer.Typer(no_args_is_help=True, help="The embedded model.")
app.add_typer(models_app, name="models")

Set = Annotated[list[str] | None, typer.Option("--set", help="A setting, as key=value; may be given again.")]
Model = Annotated[str | None, typer.Option("--model", help="Hub id or folder; the embedded SmolLM2-135M by default.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Validation = Annotated[list[str], typer.Option(help="Clean public samples that say what is good; may be given again.")]
Anchors = Annotated[list[str], typer.Option(help="A few clean public samples that set the threshold.")]
Labels = Annotated[str | None, typer.Option(help="The truth (id, quality: good|low, kind), for metrics.")]

Kinds = Annotated[str, typer.Option(help="Of cut, delete, exchange, noise, foreign, wrong-choice.")]
Severity = Annotated[float, typer.Option(help="Share of a response that is damaged.")]


def _list(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _command(function: Callable[..., None]) -> Callable[..., None]:
    """Errors that are the user's to mend: one sentence on stderr, exit code 2. Ours: a sentence, a log, exit code 1."""

    @functools.wraps(function)
    def guarded(*arguments: Any, **options: Any) -> None:
        try:
            if process_count() > 1 and function.__name__ != "score":
                raise ConfigError(f"clues {function.__name__}: runs in one process; start it without a launcher.")
            with heartbeat(), task(f"clues {function.__name__}"):
                function(*arguments, **options)
        except CluesError as error:
            print(f"Error: {error}", file=sys.stderr)  # not by `say`: only the main process may speak there
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            say("Stopped. The same command goes on from here.")
            raise typer.Exit(130) from None
        except Exception as error:
            if os.environ.get("CLUES_TRACEBACK"):
                raise
            log = Path(tempfile.gettempdir()) / f"clues-{function.__name__}-{os.getpid()}.log"
            log.write_text(traceback.format_exc(), encoding="utf-8")
            print(
                f"Error: clues {function.__name__} failed by a fault of its own ({type(error).__name__}); please "
                f"report it with {log}, which may quote your data. Finished work is kept.",
                file=sys.stderr,
            )
            raise typer.Exit(1) from None

    return guarded


@app.command(epilog="Example: clues demo --out runs/demo")
@_command
def demo(
    out: Annotated[Path, typer.Option(help="The run's folder; data: OUT-data.")] = Path("runs/demo"),
    samples: Annotated[int, typer.Option(min=10, help="Samples a client.")] = 40,
    data_only: Annotated[bool, typer.Option("--data-only", help="Write the data, run nothing.")] = False,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """The main job at small scale: four clients, two fields, the embedded model, real data."""
    from clues.commands.tables import evaluation_tables, remark, selection_table, show, variants_table
    from clues.lab.demo import data_folder, write_demo_data
    from clues.lab.demo import demo as recipe

    if data_only:
        print(f"Data: {write_demo_data(data_folder(out), samples, seed)}")
        return
    settings, metrics = recipe(out, samples, seed, set_ or [])
    rule = f"{settings.scoring.method}, {metrics['threshold']['rule']}"
    show(selection_table(metrics, f"Selection ({rule})"), variants_table(metrics), *evaluation_tables(metrics))
    print(remark(metrics))


@app.command(epilog="Example: clues run runs/demo/config.toml --set collaboration.mode=federated --out runs/federated")
@_command
def run(
    config: Annotated[Path, typer.Argument(help="A TOML file of settings.")],
    out: Annotated[Path | None, typer.Option(help="The run's folder, instead of the setting 'out'.")] = None,
    engine: Annotated[str | None, typer.Option(help="Who carries the messages: in-process.")] = None,
    set_: Set = None,
) -> None:
    """A whole collaboration: score, select, train together, evaluate."""
    from clues.commands.run import run as recipe
    from clues.commands.tables import evaluation_tables, selection_table, show

    settings = _run_settings(config, out, engine, set_)
    metrics = recipe(settings, Path(settings.out))
    show(selection_table(metrics, "Selection"), *evaluation_tables(metrics))


@app.command(epilog="Example: clues compare experiments/two-domains.toml --out runs/two-domains")
@_command
def compare(
    experiment: Annotated[Path, typer.Argument(help="A file of settings with a table \\[compare].")],
    out: Path = typer.Option(...),
    also: Annotated[list[Path] | None, typer.Option(help="Settings that take the place of the experiment's.")] = None,
    set_: Set = None,
) -> None:
    """Methods × collaborations × variants × seeds, every threshold beside each other; goes on where it was."""
    from clues.lab.compare import compare as recipe

    print(recipe([experiment, *(also or [])], out, set_ or []))


@app.command(epilog="Example: clues validate runs/demo/config.toml")
@_command
def validate(config: Path, set_: Set = None) -> None:
    """Check settings, files, model and template as run does; all errors at once, nothing is trained or written."""
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
    out: Annotated[Path, typer.Option(help="The run's folder.")],
    model: Model = None,
    method: Annotated[str | None, typer.Option(help="The scoring method; --method help names them all.")] = None,
    trajectory: Annotated[str | None, typer.Option(help="A trajectory recorded before.")] = None,
    adapter: Annotated[str | None, typer.Option(help="Score at this adapter alone.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train a trajectory first; the default.")] = False,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Most samples a batch; changes speed only.")] = None,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Score one's own samples; trains a trajectory on them where none is given."""
    from clues.commands.score import score as recipe
    from clues.commands.tables import facts_table, show
    from clues.settings import ScoreSettings, validated

    if train and (trajectory or adapter):
        raise ConfigError("--train: goes with neither --trajectory nor --adapter; give one of the three.")
    values = {
        "seed": seed,
        "samples": samples,
        "validation": validation,
        "anchors": anchors,
        "trajectory": trajectory,
        "adapter": adapter,
        "scoring": {name: value for name, value in (("method", method), ("batch_size", batch_size)) if value},
        **_model(model),
    }
    summary = recipe(validated(ScoreSettings, values, set_ or []), out)
    if is_main_process():
        show(facts_table(f"Scores in {out}", summary))


@app.command(epilog="Example: clues select runs/mine --threshold anchor-mean --labels mixed.labels.jsonl")
@_command
def select(
    folder: Annotated[Path, typer.Argument(help="A folder that clues score wrote.")],
    threshold: Annotated[str | None, typer.Option(help=f"The rule: {', '.join(get_args(Rule))}.")] = None,
    labels: Labels = None,
    set_: Set = None,
) -> None:
    """Keep what scores at least the threshold: kept.jsonl, dropped.jsonl, selection.json."""
    from clues.commands.score import select as recipe
    from clues.commands.tables import facts_table, show
    from clues.settings import SelectSettings, validated

    values = {"labels": labels, "selection": {"threshold": threshold}}
    settings = validated(SelectSettings, values, set_ or [])
    result = recipe(folder, settings.selection, settings.labels)
    shown = {key: value for key, value in result.items() if key != "auroc_by_kind"}
    shown |= {f"auroc {kind}": value for kind, value in result.get("auroc_by_kind", {}).items()}
    show(facts_table(f"Selection in {folder}", shown))


@app.command(epilog="Example: clues train kept.jsonl --out runs/model")
@_command
def train(samples: str, out: Path = typer.Option(...), model: Model = None, seed: Seed = 1, set_: Set = None) -> None:
    """Fine-tune a LoRA adapter on a file; OUT/adapter is what transformers and PEFT load."""
    from clues.commands.train import train as recipe
    from clues.settings import TrainSettings, validated

    settings = validated(TrainSettings, {"seed": seed, "samples": samples, **_model(model)}, set_ or [])
    print(f"Adapter: {recipe(settings, out)}")


@app.command(epilog="Example: clues merge runs/a/adapter runs/b/adapter --method exact --out merged")
@_command
def merge(
    adapters: list[str],
    out: Path = typer.Option(...),
    method: Annotated[str, typer.Option(help="exact, svd, linear, ties, dare-linear or dare-ties.")] = "exact",
    weights: Annotated[str, typer.Option(help="equal, or learned on --data.")] = "equal",
    data: Annotated[list[str] | None, typer.Option(help="Public samples to learn on; may be given again.")] = None,
    model: Model = None,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Merge LoRA adapters of one base model into one."""
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
    adapter: Annotated[str | None, typer.Option(help="An adapter's folder; the base model without it.")] = None,
    generate: Annotated[int, typer.Option(min=0, help="Also answer, in at most so many tokens: F1, ROUGE-L.")] = 0,
    model: Model = None,
    set_: Set = None,
) -> None:
    """Held-out NLL and perplexity by domain; token F1 and ROUGE-L of generated answers."""
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
    share: Annotated[float, typer.Option(help="Share of the samples to damage.")],
    out: Annotated[Path, typer.Option(help="The damaged file; labels go to OUT's stem + .labels.jsonl.")],
    kinds: Kinds = "cut,delete,exchange",
    severity: Severity = 0.5,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Damage a known share of a clean file, with the truth beside it, for benchmarks."""
    from clues.commands.tables import facts_table, show
    from clues.lab.corrupt import corrupt_file
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
    clients: Annotated[str, typer.Option(help="How many, or their names; with --by, values of that field.")],
    out: Annotated[Path, typer.Option(help="A new folder for the clients' and the public files.")],
    by: Annotated[str | None, typer.Option(help="The field that says whose a sample is.")] = None,
    domain: Annotated[str | None, typer.Option(help="The field that names a domain; otherwise all are one.")] = None,
    shares: Annotated[str, typer.Option(help="Share of low quality: one for all, or one a client.")] = "0.5",
    dirichlet: Annotated[float | None, typer.Option(help="β: spread the one share unevenly over clients.")] = None,
    kinds: Kinds = "cut,delete,exchange",
    severity: Severity = 0.5,
    per_client: Annotated[int, typer.Option(min=2, help="Most samples a client.")] = 40,
    max_words: Annotated[int | None, typer.Option(min=1, help="Leave out longer responses.")] = None,
    validation: Annotated[int, typer.Option(min=1, help="Validation samples a domain.")] = 16,
    anchors: Annotated[int, typer.Option(min=1, help="Anchors a domain.")] = 10,
    tests: Annotated[int, typer.Option(min=1, help="Held-out test samples a domain.")] = 20,
    seed: Seed = 1,
    set_: Set = None,
) -> None:
    """Make an experiment out of a clean file: clients of known quality, public files beside them."""
    from clues.commands.tables import facts_table, show
    from clues.lab.experiment import partition as recipe
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
    """Download, check and convert the embedded model once; later commands need no network."""
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
    # Libraries must neither phone home nor draw over our display.
    os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("TQDM_DISABLE", "1")
    if not sys.warnoptions:  # libraries' remarks to developers; python -W default shows them
        warnings.simplefilter("ignore")
    app()


if __name__ == "__main__":
    main()
