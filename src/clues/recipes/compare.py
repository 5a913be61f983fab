"""`clues compare`: methods × collaborations × seeds on one set of clients, every threshold beside each other."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clues.compare.rows import Row, cost_rows, model_rows, selection_rows
from clues.compare.tables import markdown, tables
from clues.config import CompareSettings, RunSettings, validated
from clues.errors import ConfigError
from clues.files import read_json, refuse_other_run, replace_whole, write_parquet
from clues.progress import say
from clues.recipes.run import run
from clues.report.pages import write_compare_page

_SHARED = ("trajectory", "adapters", ".shards")  # trained adapters and passes over gradients, for every method


def compare(experiment: Mapping[str, Any], out: Path, overrides: Sequence[str] = ()) -> str:
    """Run every combination; finished ones are read.

    Writes selection.parquet, models.parquet, costs.parquet (a row a run and client or domain and arm), and the tables
    made of them in results.md and results.html.

    Args:
        experiment: the settings of a run with a table `compare`; `{seed}` in the name of a file is replaced.

    Returns:
        What results.md holds.

    Raises:
        CluesError: settings or data are wrong; all combinations are checked before the first is run.
    """
    chosen = validated(CompareSettings, experiment.get("compare", {}))
    plan = [
        (seed, mode, method, _settings(experiment, seed, mode, method, out, overrides))
        for seed in chosen.seeds
        for mode in chosen.modes
        for method in chosen.methods
    ]
    for *_, settings in plan:
        refuse_other_run(Path(settings.out), settings.model_dump(mode="json"))
    selection: list[Row] = []
    models: list[Row] = []
    costs: list[Row] = []
    for number, (seed, mode, method, settings) in enumerate(plan, start=1):
        say(f"Run {number} of {len(plan)}: method {method}, {mode}, seed {seed}")
        labels = {"seed": seed, "mode": mode, "variant": "", "method": method}
        metrics = _run_once(settings, out / f"seed-{seed}" / mode / "shared")
        selection += selection_rows(metrics, labels)
        models += model_rows(metrics, labels)
        costs += cost_rows(_costs(settings), labels)
    for name, rows in (("selection", selection), ("models", models), ("costs", costs)):
        _write(rows, out / f"{name}.parquet")
    shown = tables(selection, models, costs)
    text = markdown(shown)
    replace_whole(out / "results.md", lambda part: part.write_text(text, encoding="utf-8"))
    write_compare_page(out / "results.html", shown)
    return text


def _settings(
    experiment: Mapping[str, Any], seed: int, mode: str, method: str, out: Path, overrides: Sequence[str]
) -> RunSettings:
    values = {key: value for key, value in _for_seed(experiment, seed).items() if key != "compare"}
    for table in ("collaboration", "scoring"):
        if not isinstance(values.get(table, {}), dict):
            raise ConfigError(f"{table}: is not a table of settings; write [{table}].")
    values["seed"], values["out"] = seed, str(out / f"seed-{seed}" / mode / method)
    values["collaboration"] = {**values.get("collaboration", {}), "mode": mode}
    values["scoring"] = {**values.get("scoring", {}), "method": method, "keep_passes": True}
    return validated(RunSettings, values, overrides)


def _for_seed(value: Any, seed: int) -> Any:
    if isinstance(value, str):
        return value.replace("{seed}", str(seed))
    if isinstance(value, Mapping):
        return {key: _for_seed(item, seed) for key, item in value.items()}
    return [_for_seed(item, seed) for item in value] if isinstance(value, list) else value


def _run_once(settings: RunSettings, shared: Path) -> dict[str, Any]:
    """Run, with the trajectories and adapters that another method's run has trained already."""
    folder = Path(settings.out)
    if (folder / "metrics.json").is_file():
        metrics: dict[str, Any] = read_json(folder / "metrics.json")
        return metrics
    metrics = run(settings, folder, prepare=lambda: _copy(shared, folder / "clients", settings))
    _copy(folder / "clients", shared, settings)
    return metrics


def _copy(source: Path, target: Path, settings: RunSettings) -> None:
    for client in settings.clients:
        for part in _SHARED:
            if (source / client.id / part).is_dir():
                shutil.copytree(source / client.id / part, target / client.id / part, dirs_exist_ok=True)


def _costs(settings: RunSettings) -> dict[str, Any]:
    """By client, what its scoring cost; of scoring while training nothing is known."""
    files = {client.id: Path(settings.out) / "clients" / client.id / "costs.json" for client in settings.clients}
    return {client: read_json(file) for client, file in files.items() if file.is_file()}


def _write(rows: Sequence[Row], path: Path) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    write_parquet(path, {name: [row.get(name) for row in rows] for name in names})
