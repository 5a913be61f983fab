"""Rewrite the tables of docs/results.md from the rows of finished comparisons in docs/results.

python experiments/results.py            # only rewrite the tables
python experiments/results.py runs       # first copy the rows of each finished comparison in runs/NAME
"""

from __future__ import annotations

import re
import shutil
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet

from clues.lab.corruption import KINDS
from clues.lab.rows import ALL
from clues.lab.seeds import by_seed, mean_and_error
from clues.lab.tables import grid, model_table, number
from clues.methods.registry import METHODS

HERE = Path(__file__).parent
STORED = HERE.parent / "docs" / "results"
MODELS = STORED / "models"
# Folders with one file per experiment; the files of a folder have rows of the same variants.
VARIANTS = [STORED / name for name in ("study", "limits", "thresholds")]
PAGES = [HERE.parent / "docs" / name for name in ("results.md", "results-0.5.md")]
PAGE = PAGES[0]
JUDGED = "real/equal"
CORRUPTED = ("kinds/all", "kinds/untouched")
BENCH = (JUDGED, "real/natural", "real/together", *CORRUPTED)
# The judged sets that no choice of features was made on.
UNTOUCHED = ("medec", "medquad_judged", "medqa_relabelled", "mmlu_redux", "gsm8k_solutions")
FIGURES = ("precision", "recall", "f1", "accuracy")
Row = dict[str, Any]


def main(runs: Path | None) -> None:
    if runs:
        take_in(runs)
    rows = {path.stem: read(path) for path in sorted(STORED.glob("*.parquet"))}
    tables = {
        **bench_tables({name: sets_of(STORED / f"{name}.parquet") for name in BENCH}),
        "draws": by_draw(of_draws(CORRUPTED[0]), of_draws(JUDGED)),
        "auroc": by_experiment(rows, "auroc"),
        "f1": by_experiment(rows, "f1"),
        "kept": by_experiment({name: rows[name] for name in rows if name == "clean"}, "recall"),
        "against-auto": against_auto(rows),
        "rules": by_rule(rows),
        "kinds": by_kind(rows),
        "shares": by_share(rows),
        **{path.stem: by_arm(read(path)) for path in sorted(MODELS.glob("*.parquet"))},
        "knowledge": by_domain(read(MODELS / "kinds-knowledge.parquet")),
    }
    for folder in VARIANTS:
        tables |= by_variant({path.stem: read(path) for path in sorted(folder.glob("*.parquet"))})
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name, table in tables.items():
            text = replaced(text, name, table)
        page.write_text(text, encoding="utf-8")


def replaced(text: str, name: str, table: str) -> str:
    """The page with a table replaced by a new one."""
    pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda found: f"{found[1]}\n{table}\n\n{found[2]}", text, flags=re.S)


def take_in(runs: Path) -> None:
    """Copy the rows of finished comparisons: those of models where any was trained, else those of selections."""
    for found in (*runs.glob("*/models.parquet"), *runs.glob("*/*/models.parquet")):
        name = found.parent.relative_to(runs).as_posix()
        if read(found):
            copy(found, MODELS / f"{name.replace('/', '-')}.parquet")
        elif (HERE / f"{name}.toml").is_file():
            copy(found.with_name("selection.parquet"), STORED / f"{name}.parquet")


def copy(file: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(file, to)


def read(path: Path) -> list[Row]:
    rows: list[Row] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def sets_of(path: Path) -> dict[str, list[Row]]:
    """The rows of each set of an experiment, as if it were the only client; empty if the experiment was not run.

    A set is a variant, or a client where there are no variants. `share kept` and `f1 of all`, of keeping everything,
    are added.
    """
    sets: dict[str, list[Row]] = {}
    for row in read(path) if path.is_file() else []:
        if row["client"] != ALL:
            count = row["kept"] + row["dropped"]
            figures = {"share kept": row["kept"] / count, "f1 of all": 2 * row["good"] / (count + row["good"])}
            sets.setdefault(row["variant"] or row["client"], []).append({**row, **figures, "client": ALL})
    return sets


def by_experiment(rows: dict[str, list[Row]], column: str) -> str:
    """One line per method and one column per experiment that has the figure, by each method's own rule; and the mean.

    If a method was run on fewer seeds than the experiment, their number is added in brackets.
    """
    rows = {name: found for name, found in rows.items() if any(row.get(column) is not None for row in found)}
    methods = methods_of(rows)
    lines = []
    for method in methods:
        of_seeds = [by_seed(own_rule(found, method), column) for found in rows.values()]
        cells = [mean_and_error(found.values()) for found in of_seeds]
        whole = number((statistics.fmean(found[0] for found in cells if found), None) if all(cells) else None)
        counts = [len(known) for known in of_seeds]
        fewer = [0 < count < seeds_of(found) for count, found in zip(counts, rows.values(), strict=True)]
        marks = [f" ({count})" if few else "" for count, few in zip(counts, fewer, strict=True)]
        lines.append([method, *[number(cell) + mark for cell, mark in zip(cells, marks, strict=True)], whole])
    head = ["method", *map(headed, rows.items())]
    if len(rows) == 1:
        return grid(head, [line[:-1] for line in lines])
    return grid([*head, "mean"], lines)


def headed(experiment: tuple[str, list[Row]]) -> str:
    """The experiment's name, and the number of seeds its figures average over."""
    name, found = experiment
    seeds = seeds_of(found)
    return f"{name} ({seeds} seeds)" if seeds > 1 else name


def methods_of(rows: dict[str, list[Row]]) -> list[str]:
    return list(dict.fromkeys(row["method"] for found in rows.values() for row in found))


def seeds_of(found: Sequence[Row]) -> int:
    return len({row["seed"] for row in found})


def against_auto(rows: dict[str, list[Row]]) -> str:
    """One line per method: on how many draws of clients (seeds of an experiment) it is at least as good as auto."""
    lines = []
    for method in methods_of(rows):
        if method == "auto":
            continue
        counts = []
        for column in ("auroc", "f1"):
            pairs = [
                (by_seed(own_rule(found, method), column), by_seed(own_rule(found, "auto"), column))
                for found in rows.values()
            ]
            better = [own[seed] >= auto[seed] for own, auto in pairs for seed in own]
            counts.append(f"{sum(better)} of {len(better)}")
        lines.append([method, *counts])
    return grid(["method", "AUROC at least auto's", "F1 at least auto's"], lines)


def by_rule(rows: dict[str, list[Row]]) -> str:
    """One line per rule, for the default and the paper's score: means over the experiments with low quality."""
    damaged = [found for name, found in rows.items() if name != "clean"]
    lines = []
    for method in ("auto", "paper"):
        for rule in dict.fromkeys(row["threshold"] for row in damaged[0] if row["method"] == method):
            chosen = [[r for r in found if (r["method"], r["threshold"]) == (method, rule)] for found in damaged]
            lines.append([method, rule, *[mean_of(chosen, column) for column in FIGURES]])
    return grid(["method", "rule", *FIGURES], lines)


def by_kind(rows: dict[str, list[Row]]) -> str:
    """One line per method and one column per corruption type: mean AUROC over the experiments that contain it."""
    kinds = sorted({key for found in rows.values() for row in found for key in row if key.startswith("auroc ")})
    methods = methods_of(rows)
    lines = []
    for method in methods:
        chosen = [own_rule(found, method) for found in rows.values()]
        lines.append([method, *[mean_of(chosen, kind) for kind in kinds]])
    return grid(["method", *[kind.removeprefix("auroc ") for kind in kinds]], lines)


def bench_tables(bench: dict[str, dict[str, list[Row]]]) -> dict[str, str]:
    """A table per experiment, and one of all selections. `bench`: for each experiment, the rows by set."""
    done = {name: sets for name, sets in bench.items() if sets}
    tables = dict.fromkeys([*bench, "selections"], "Not run yet.")
    for name, sets in done.items():
        tables[name] = by_kind_and_method(sets) if name in CORRUPTED else by_experiment(sets, "auroc")
    return tables | ({"selections": by_method(done)} if done else {})


def of_draws(name: str) -> list[Row]:
    """The rows of an experiment, those of seeds with which only some methods were run among them; `set` is added."""
    files = STORED / f"{name}.parquet", STORED / "draws" / f"{name.replace('/', '-')}.parquet"
    return [row | {"set": name} for file in files for name, found in sets_of(file).items() for row in found]


def by_draw(corrupted: list[Row], judged: list[Row]) -> str:
    """One line per seed, and one of their means: the default, and the AUROC of the response's length."""
    untouched = [row for row in judged if row["set"] in UNTOUCHED]
    columns = [
        *((f"corruption types: {figure}", own_rule(corrupted, "auto"), figure) for figure in ("auroc", *FIGURES[:3])),
        *((f"nine judged sets: {figure}", own_rule(judged, "auto"), figure) for figure in ("auroc", "f1")),
        ("length: auroc", own_rule(judged, "length"), "auroc"),
        ("five of them: auroc", own_rule(untouched, "auto"), "auroc"),
        ("length: auroc", own_rule(untouched, "length"), "auroc"),
    ]
    means = {
        str(seed): [statistics.fmean(row[name] for row in rows if row["seed"] == seed) for _, rows, name in columns]
        for seed in sorted({row["seed"] for row in corrupted})
    }
    means["mean"] = [statistics.fmean(column) for column in zip(*means.values(), strict=True)]
    lines = [[seed, *[number((mean, None)) for mean in of_seed]] for seed, of_seed in means.items()]
    return grid(["seed", *[name.replace("auroc", "AUROC").replace("f1", "F1") for name, *_ in columns]], lines)


def by_kind_and_method(sets: dict[str, list[Row]]) -> str:
    """One line per corruption type and one column per method: mean AUROC over the sets."""
    columns = {column for found in sets.values() for row in found for column in row}
    names = {f"auroc {kind}": kind for kind in KINDS if f"auroc {kind}" in columns} | {"auroc": "all together"}
    chosen = {method: [own_rule(found, method) for found in sets.values()] for method in methods_of(sets)}
    lines = [[name, *[mean_of(rows, column) for rows in chosen.values()]] for column, name in names.items()]
    return grid(["type", *chosen], lines)


def by_method(bench: dict[str, dict[str, list[Row]]]) -> str:
    """One line per method, by its own rule, and one of keeping everything: share kept and F1, means over the sets."""
    methods = list(dict.fromkeys(method for sets in bench.values() for method in methods_of(sets)))
    lines = []
    for method in methods:
        chosen = [[own_rule(found, method) for found in sets.values()] for sets in bench.values()]
        lines.append([method, *[mean_of(rows, column) for rows in chosen for column in ("share kept", "f1")]])
    whole = [mean_of(list(sets.values()), "f1 of all") for sets in bench.values()]
    lines.append(["everything", *[cell for f1 in whole for cell in ("1.000", f1)]])
    return grid(["method", *[f"{name}: {figure}" for name in bench for figure in ("kept", "F1")]], lines)


def by_share(rows: dict[str, list[Row]]) -> str:
    """For the default, one line per share of low quality: pools all clients of that share, from all experiments."""
    clients: dict[float, list[Row]] = {}
    for found in rows.values():
        first = next(row["threshold"] for row in found if row["method"] == "auto")
        for row in found:
            if (row["method"], row["threshold"]) == ("auto", first) and row["client"] != ALL:
                share = 1 - row["good"] / (row["kept"] + row["dropped"])
                clients.setdefault(round(share, 1), []).append(row)
    lines = []
    for share, found in sorted(clients.items()):
        kept, good, right = (sum(row[name] for row in found) for name in ("kept", "good", "kept_good"))
        figures = [right / kept if kept else 0.0, right / good if good else 0.0]
        lines.append([f"{share:.0%}", str(len(found)), *[f"{value:.3f}" for value in figures]])
    return grid(["low quality", "clients", "precision", "recall of good"], lines)


def by_arm(rows: list[Row]) -> str:
    """One line per arm of a method and variant: held-out likelihood, averaged over the domains."""
    table = model_table("", rows)
    return grid(table.columns, table.lines)


def by_domain(rows: list[Row]) -> str:
    """One line per set of questions and one column per arm: accuracy, and accuracy per character."""
    rows = [row for row in rows if row["accuracy"] is not None]
    figures = {(row["domain"], row["arm"]): (row["accuracy"], row["accuracy_norm"]) for row in rows}
    arms = list(dict.fromkeys(arm for _, arm in figures))
    cells = {pair: "; ".join(number((value, None)) for value in found) for pair, found in figures.items()}
    lines = [[name, *[cells[name, arm] for arm in arms]] for name in dict.fromkeys(name for name, _ in figures)]
    return grid(["questions", *arms], lines)


def by_variant(rows: dict[str, list[Row]]) -> dict[str, str]:
    """For each part of the study, one line per variant: AUROC of each experiment, and the means of all figures."""
    tables = {}
    for study in dict.fromkeys(row["study"] for found in rows.values() for row in found):
        parts = [{row["variant"]: row for row in found if row["study"] == study} for found in rows.values()]
        lines = []
        for variant in parts[0]:
            means = [statistics.fmean(part[variant][name] for part in parts) for name in ("auroc", *FIGURES)]
            shown = [*[part[variant]["auroc"] for part in parts], *means]
            lines.append([variant, *[number((value, None)) for value in shown]])
        head = [*[f"AUROC {name}" for name in rows], "mean", "precision", "recall", "F1", "accuracy"]
        tables[f"study-{study}"] = grid(["variant", *head], lines)
    return tables


def own_rule(found: Sequence[Row], method: str) -> list[Row]:
    """The rows of all clients pooled, by the method's own rule."""
    rule = METHODS[method].rule
    return [row for row in found if (row["method"], row["threshold"], row["client"]) == (method, rule, ALL)]


def mean_of(chosen: Sequence[Sequence[Row]], column: str) -> str:
    """The mean over the experiments that have the figure, with all clients pooled."""
    cells = [mean_and_error(by_seed([row for row in rows if row["client"] == ALL], column).values()) for rows in chosen]
    known = [found[0] for found in cells if found]
    return number((statistics.fmean(known), None) if known else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
