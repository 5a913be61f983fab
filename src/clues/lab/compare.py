"""`clues compare`: methods × collaborations × variants × seeds on the same clients, with tables of the results."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clues.collaboration.local import collaborate
from clues.errors import ConfigError
from clues.io.files import read_json, replace_whole, write_rows
from clues.io.progress import say, watched
from clues.io.run_folder import refuse_other_run
from clues.lab.rows import Row, cost_rows, model_rows, selection_rows
from clues.lab.tables import markdown, tables
from clues.methods.registry import only_used
from clues.report.card import write_cards
from clues.report.pages import write_compare_page
from clues.report.run_page import write_run_page
from clues.settings import CompareSettings, RunSettings, Settings, read_toml, validated
from clues.version import __version__


@dataclass(frozen=True)
class _Experiment:
    """`folder`: where files named in the settings are looked up first."""

    values: Mapping[str, Any]
    overrides: Sequence[str]
    folder: Path
    out: Path


@dataclass(frozen=True)
class _Planned:
    """A run. `stores`: the cache shared by all runs of its seed."""

    labels: dict[str, Any]
    settings: RunSettings
    stores: Path

    @property
    def out(self) -> Path:
        return Path(self.settings.out)


class _Table(Settings):
    """What errors in the table name: `compare.methods`."""

    compare: CompareSettings


def compare(files: Sequence[Path], out: Path, *, overrides: Sequence[str] = ()) -> str:
    """Run every combination; read the results of finished ones.

    Writes selection.parquet and costs.parquet (rows by run and client), models.parquet (rows by run, domain and arm),
    and their tables in results.md and results.html.

    Args:
        files: the settings of a run with a table `compare`, and files that override them; `{seed}` and `{variant}` in
            values are replaced.
        overrides: `key=value`; those of the table `compare` begin with `compare.`.

    Returns:
        The content of results.md.

    Raises:
        CluesError: settings or data are wrong; all combinations are checked before the first run.
    """
    of_table = [override for override in overrides if override.startswith("compare.")]
    of_runs = [override for override in overrides if not override.startswith("compare.")]
    _refuse_compared_keys(of_runs)
    values = functools.reduce(merged, [read_toml(file) for file in files])
    experiment = _Experiment(values, of_runs, files[0].parent, out)
    given = {name: table for name, table in values.items() if name == "compare"}
    comparison = validated(_Table, given, of_table).compare
    variants = {variant.name: variant.changes for variant in comparison.variants} or {"": {}}
    plan = [
        _planned(experiment, {"seed": seed, "mode": mode, "variant": name, "method": method}, changes=changes)
        for seed in comparison.seeds
        for mode in comparison.modes
        for name, changes in variants.items()
        for method in comparison.methods
    ]
    for planned in plan:
        refuse_other_run(planned.out, planned.settings.model_dump(mode="json"))
    selection: list[Row] = []
    models: list[Row] = []
    costs: list[Row] = []
    for number, planned in enumerate(plan, start=1):
        say(f"Run {number} of {len(plan)}: " + ", ".join(f"{k} {v}" for k, v in planned.labels.items() if v != ""))
        metrics = _run_once(planned)
        selection += selection_rows(metrics, planned.labels)
        models += model_rows(metrics, planned.labels)
        costs += cost_rows(_costs(planned), planned.labels)
    for name, rows in (("selection", selection), ("models", models), ("costs", costs)):
        write_rows(out / f"{name}.parquet", rows)
    results = tables(selection, models, costs)
    text = markdown(results)
    replace_whole(out / "results.md", lambda part: part.write_text(text, encoding="utf-8"))
    write_compare_page(out / "results.html", results)
    return text


def _refuse_compared_keys(overrides: Sequence[str]) -> None:
    """Rows are labelled with the values in `[compare]`, so overrides must not change them."""
    places = {"scoring.method": "methods", "collaboration.mode": "modes", "seed": "seeds", "out": ""}
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in places:
            remedy = f"use --set compare.{places[key]}=[…]" if places[key] else "use --out"
            raise ConfigError(f"--set {key}: is varied by the comparison itself; {remedy}.")


def _planned(experiment: _Experiment, labels: dict[str, Any], *, changes: Mapping[str, Any]) -> _Planned:
    seed, mode, variant, method = (labels[key] for key in ("seed", "mode", "variant", "method"))
    values = merged(experiment.values, {"seed": seed, "collaboration": {"mode": mode}})
    values = merged(values, {"scoring": {"method": method, "keep_passes": True}})
    values = _filled(merged(values, changes), {"{seed}": str(seed), "{variant}": variant})
    del values["compare"]
    folder = experiment.out / f"seed-{seed}"
    values["out"] = str(folder / mode / variant / method)
    settings = validated(RunSettings, values, experiment.overrides, experiment.folder)
    # The settings are shared by all methods; each run keeps only those its method uses.
    settings = settings.model_copy(update={"scoring": only_used(settings.scoring)})
    return _Planned({**labels, "mode": settings.collaboration.mode}, settings, folder / "store")


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`values` overridden by `changes`; tables are merged key by key.

    Raises:
        ConfigError: `changes` has a table where `values` has a value.
    """
    result = dict(values)
    for key, value in changes.items():
        current = result.get(key, {})
        if isinstance(value, Mapping):
            if not isinstance(current, Mapping):
                raise ConfigError(f"{key}: is not a table of settings; write [{key}].")
            result[key] = merged(current, value)
        else:
            result[key] = value
    return result


def _filled(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return functools.reduce(lambda text, name: text.replace(name, names[name]), names, value)
    if isinstance(value, Mapping):
        return {key: _filled(item, names) for key, item in value.items()}
    return [_filled(item, names) for item in value] if isinstance(value, list) else value


def _run_once(planned: _Planned) -> dict[str, Any]:
    """Run unless it has finished, reusing what other runs have trained, scored and evaluated."""
    finished = planned.out / "metrics.json"
    metrics: dict[str, Any] = read_json(finished) if finished.is_file() else {}
    if metrics.get("version") == __version__:  # results of different versions are not compared
        return metrics
    with watched(planned.out, clients=[client.id for client in planned.settings.clients]):
        metrics = collaborate(planned.settings, planned.out, stores=planned.stores)
    write_run_page(planned.out, metrics, planned.settings.model_dump(mode="json"))
    write_cards(planned.out, metrics, planned.settings.model_dump(mode="json"))
    return metrics


def _costs(planned: _Planned) -> dict[str, Any]:
    """The cost of scoring by client; unknown for scoring during training."""
    files = {client.id: planned.out / "clients" / client.id / "costs.json" for client in planned.settings.clients}
    return {client: read_json(file) for client, file in files.items() if file.is_file()}
