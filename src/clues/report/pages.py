"""Self-contained HTML pages: no scripts, no external resources, all text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from clues.evaluation.figures import measure, measured
from clues.io.files import replace_whole

COMPARED_NOTE = (
    "Means of paired differences on the same samples, with bootstrap intervals over samples; they do not cover how "
    "models differ from seed to seed."
)
_PAGES = Environment(loader=PackageLoader("clues.report", "templates"), autoescape=True, trim_blocks=True)
_PAGES.filters["figure"] = lambda value: "–" if value is None else f"{value:.3f}"


@dataclass(frozen=True)
class Table:
    """A table of text cells: each of `lines` has one cell per column. The first `labels` columns are row headers."""

    title: str
    labels: int
    columns: list[str]
    lines: list[list[str]]
    note: str = ""


def compared(comparisons: Sequence[Mapping[str, Any]]) -> list[Table]:
    """A table of the differences between models and their verdicts, from metrics.json, unless there are none."""
    lines = []
    for row in comparisons:
        figures = ["–" if row[key] is None else f"{row[key]:+.3f}" for key in ("difference", "low", "high")]
        told = [figures[0], " to ".join(figures[1:]), row["verdict"]]
        lines.append([row["domain"], row["measure"], f"{row['arm']} − {row['other']}", *told])
    columns = ["domain", "measure", "models", "difference", "95 % interval", "verdict"]
    return [Table("Differences between models", 3, columns, lines, COMPARED_NOTE)] if lines else []


def measured_names(metrics: Mapping[str, Any]) -> list[str]:
    """What the models were measured by, in the order of tables."""
    by_arm = metrics["evaluation"].values()
    return measured(name for figures_of in by_arm for figures in figures_of.values() for name in figures)


def write_run_page(path: Path, metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """Write the page of a run: counts, metrics, thresholds and settings, as known to the server. No sample text.

    Args:
        metrics: the content of metrics.json.
        settings: the settings of the run.
    """
    clients = metrics["clients"]
    kinds = sorted({kind for client in clients.values() for kind in client["selection"].get("auroc_by_kind", {})})
    arms = list(dict.fromkeys(arm for figures in metrics["evaluation"].values() for arm in figures))
    evaluated = {name: measure(name).heading for name in measured_names(metrics)}
    values: dict[str, Any] = {"kinds": kinds, "arms": arms, "evaluated": evaluated, "settings": settings}
    values["compared"] = compared(metrics["comparisons"])
    values["unusable"] = any(client.get("unusable") for client in clients.values())
    _write(path, "run.html", metrics=metrics, **values)


def write_samples_page(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    selection: Mapping[str, Any],
    unusable: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Write the page of all samples, worst first. It shows private text and is for the data owner only.

    Args:
        rows: per sample: id, prompt, response, score, kept, reason.
        selection: the content of selection.json.
        unusable: per unusable record: id, place, reason.
    """
    _write(
        path, "samples.html", rows=sorted(rows, key=lambda row: row["score"]), selection=selection, unusable=unusable
    )


def write_compare_page(path: Path, tables: Sequence[Table]) -> None:
    """Write the page of a comparison. It contains no sample text."""
    _write(path, "compare.html", tables=tables)


def _write(path: Path, template: str, **values: Any) -> None:
    text = _PAGES.get_template(template).render(**values)
    replace_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
