"""Self-contained HTML: no script, nothing fetched; every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from clues.io.files import replace_whole

# What is measured of a model on the held-out tests, by its name in metrics.json.
EVALUATED = {
    "nll": "Held-out NLL (nats a token, lower is better)",
    "token_f1": "Token F1 of generated answers (higher is better)",
    "rouge_l": "ROUGE-L of generated answers (higher is better)",
}
_PAGES = Environment(loader=PackageLoader("clues.report", "templates"), autoescape=True, trim_blocks=True)
_PAGES.filters["figure"] = lambda value: "–" if value is None else f"{value:.3f}"


@dataclass(frozen=True)
class Table:
    """`lines` hold a text for each of `columns`, of which the first `labels` say what a line is of."""

    title: str
    labels: int
    columns: list[str]
    lines: list[list[str]]
    note: str = ""


def write_run_page(path: Path, metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """What the server knows: counts, metrics, thresholds, settings. It holds no text of a sample.

    Args:
        metrics: what metrics.json holds.
    """
    clients = metrics["clients"]
    kinds = sorted({kind for client in clients.values() for kind in client["selection"].get("auroc_by_kind", {})})
    arms = list(dict.fromkeys(arm for figures in metrics["evaluation"].values() for arm in figures))
    measured = {key for figures in metrics["evaluation"].values() for found in figures.values() for key in found}
    evaluated = {key: title for key, title in EVALUATED.items() if key in measured}
    values: dict[str, Any] = {"kinds": kinds, "arms": arms, "evaluated": evaluated, "settings": settings}
    values["unusable"] = any(client.get("unusable") for client in clients.values())
    _write(path, "run.html", metrics=metrics, **values)


def write_samples_page(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    selection: Mapping[str, Any],
    unusable: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Every sample, the worst first, for the data owner alone: it shows private text.

    Args:
        rows: of each sample id, prompt, response, score, whether it is kept, and the reason.
        selection: what selection.json holds.
        unusable: of each record that cannot be used id, place and reason.
    """
    _write(
        path, "samples.html", rows=sorted(rows, key=lambda row: row["score"]), selection=selection, unusable=unusable
    )


def write_compare_page(path: Path, tables: Sequence[Table]) -> None:
    """The tables of a comparison. It holds no text of a sample."""
    _write(path, "compare.html", tables=tables)


def _write(path: Path, template: str, **values: Any) -> None:
    text = _PAGES.get_template(template).render(**values)
    replace_whole(path, lambda part: part.write_text(text, encoding="utf-8"))
