"""Tables of mean ± standard error over seeds, for Markdown and HTML."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clues.lab.rows import ALL, LEAST_GAIN, Row
from clues.lab.seeds import by_seed, mean_and_error, share_of_gain
from clues.report.pages import Table

_Cell = Callable[[Sequence[Row]], str]  # from the rows of a line to the text of a cell
_LABELS = ("method", "mode", "variant")
_ANY = "–"
_MODEL_NOTE = (
    "NLL in nats a token. Of oracle's gain: (base − NLL) / (base − oracle's NLL). Recovered, of the gap between mixed "
    "and oracle: (mixed − NLL) / (mixed − oracle's NLL). A share is left out (–) where the oracle itself gains less "
    f"than two standard errors, or than {LEAST_GAIN} nats."
)
_OTHER_FIGURES = {
    "exact match": "exact_match",
    "token F1": "token_f1",
    "ROUGE-L": "rouge_l",
    "judge (1–10)": "judge_10",
    "judge (0–1)": "judge_1",
    "accuracy": "accuracy",
    "accuracy by character": "accuracy_norm",
}
_SELECTION = ("precision", "recall", "f1", "accuracy", "auroc")


def tables(selection: Sequence[Row], models: Sequence[Row], costs: Sequence[Row]) -> list[Table]:
    """All tables for which there are rows."""
    result = [selection_table(selection)]
    if any(row.get("auroc") is not None for row in selection):
        result.append(auroc_table(selection))
    domains = sorted({row["domain"] for row in models})
    held_out = [model_table(f"Held-out: {d}", [row for row in models if row["domain"] == d]) for d in domains]
    if len(domains) > 1:
        held_out.append(model_table("Held-out: mean of the domains", models))
    if held_out:
        held_out[0] = replace(held_out[0], note=_MODEL_NOTE)
    return [*result, *held_out, *([cost_table(costs)] if costs else [])]


def selection_table(rows: Sequence[Row]) -> Table:
    """A line per method and rule: metrics of the samples of all clients, pooled."""
    kinds = sorted({key for row in rows for key in row if key.startswith("auroc ")})
    columns = {name: _of_client(ALL, name) for name in (*_SELECTION, *kinds)}
    lines = _lines(rows, [*_LABELS, "threshold"], columns=columns)
    note = "Positive is high quality. All clients' samples together; AUROC over the pairs within a client."
    return Table("Selection", *lines, note)


def auroc_table(rows: Sequence[Row]) -> Table:
    """A line per method, a column per client: AUROC of the scores that the run selected by."""
    own_rule: dict[tuple[Any, ...], Row] = {}  # the first rule of a run is its own
    for row in rows:
        own_rule.setdefault(tuple(row[key] for key in (*_LABELS, "seed", "client")), row)
    clients = dict.fromkeys(row["client"] for row in rows if row["client"] != ALL)
    columns = {client: _of_client(client, "auroc") for client in clients}
    lines = _lines(list(own_rule.values()), _LABELS, columns=columns)
    return Table("AUROC by client", *lines, "How well scores order good before low quality; 0.5 is chance.")


def model_table(title: str, rows: Sequence[Row]) -> Table:
    """A line per arm of a method: held-out metrics, and the share of the oracle's gain."""
    measured = {key for row in rows for key, value in row.items() if value is not None}
    columns = {}
    if "nll" in measured:
        columns = {
            "NLL": _figure("nll"),
            "base − NLL": _figure("over_base"),
            "of oracle's gain": _share("over_base", "oracle_over_base"),
            "mixed − NLL": _figure("over_mixed"),
            "recovered": _share("over_mixed", "oracle_over_mixed"),
        }
    columns |= {name: _figure(key) for name, key in _OTHER_FIGURES.items() if key in measured}
    return Table(title, *_lines(rows, ["arm", *_LABELS], columns=columns))


def cost_table(rows: Sequence[Row]) -> Table:
    """A line per method: the total cost of scoring for all clients."""
    columns = {
        "seconds": _total("seconds", 1),
        "forward passes": _total("forward", 0),
        "backward passes": _total("backward", 0),
    }
    note = (
        "All clients together; passes of one sample. Passes over gradients that another method made already count as "
        "this method's own. Training the trajectory is not among them."
    )
    return Table("Cost of scoring", *_lines(rows, _LABELS, columns=columns), note)


def markdown(results: Sequence[Table]) -> str:
    return "\n".join(
        f"# {table.title}\n\n" + grid(table.columns, table.lines) + (f"\n\n{table.note}\n" if table.note else "\n")
        for table in results
    )


def grid(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *lines))


def _lines(
    rows: Sequence[Row], keys: Sequence[str], *, columns: Mapping[str, _Cell]
) -> tuple[int, list[str], list[list[str]]]:
    """(number of label columns, column names, lines): a line for each combination of `keys`.

    A mode or variant with only one value is omitted. Lines are sorted by the keys, values in order of appearance.
    """
    for label in _LABELS:
        rows = _without_copies(rows, label, keys=keys)
    shown = [key for key in keys if key not in ("mode", "variant") or len({row[key] for row in rows}) > 1]
    order = {key: list(dict.fromkeys(row[key] for row in rows)) for key in shown}
    combinations = {tuple(row[key] for key in shown) for row in rows}
    lines = []
    for values in sorted(combinations, key=lambda line: [order[k].index(v) for k, v in zip(shown, line, strict=True)]):
        matching = [row for row in rows if tuple(row[key] for key in shown) == values]
        lines.append([*values, *[cell(matching) for cell in columns.values()]])
    return len(shown), [*shown, *columns], lines


def _without_copies(rows: Sequence[Row], label: str, *, keys: Sequence[str]) -> list[Row]:
    """Rows with equal values for every value of a label, such as those of the base model, appear once, without it."""
    result: list[Row] = []
    others = [key for key in keys if key != label]
    for values in _unique(rows, *others):
        part = [row for row in rows if tuple(row[key] for key in others) == values]
        by_label: dict[str, list[Row]] = {}
        for row in part:
            by_label.setdefault(row[label], []).append({**row, label: _ANY})
        first, *more = by_label.values()
        result += first if more and all(_same(copy, first) for copy in more) else part
    return result


def _same(one: Sequence[Row], other: Sequence[Row]) -> bool:
    """Whether rows are equal up to floating-point rounding."""
    if [list(row) for row in one] != [list(row) for row in other]:
        return False
    pairs = [(row[key], match[key]) for row, match in zip(one, other, strict=True) for key in row]
    return all(
        math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-6) if isinstance(a, float) and isinstance(b, float) else a == b
        for a, b in pairs
    )


def _figure(column: str) -> _Cell:
    return lambda rows: number(mean_and_error(by_seed(rows, column).values()))


def _of_client(client: str, column: str) -> _Cell:
    return lambda rows: _figure(column)([row for row in rows if row["client"] == client])


def _share(gain: str, oracle: str) -> _Cell:
    return lambda rows: number(share_of_gain(rows, gain, oracle), percent=True)


def _total(column: str, digits: int) -> _Cell:
    return lambda rows: number(mean_and_error(by_seed(rows, column, reduce=sum).values()), digits=digits)


def number(estimate: tuple[float, float | None] | None, *, digits: int = 3, percent: bool = False) -> str:
    """A mean ± its standard error, or a dash if there is none."""
    if estimate is None:
        return _ANY
    texts = [f"{value:.0%}" if percent else f"{value:.{digits}f}" for value in estimate if value is not None]
    return " ± ".join(texts)


def _unique(rows: Iterable[Row], *keys: str) -> list[tuple[Any, ...]]:
    return list(dict.fromkeys(tuple(row[key] for key in keys) for row in rows))
