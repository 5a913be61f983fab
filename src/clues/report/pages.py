"""What all pages share: self-contained HTML without external resources, all text escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from clues.io.files import replace_whole
from clues.report.drawing import number
from clues.report.sent import size
from clues.version import __version__

COMPARED_NOTE = (
    "Means of paired differences on the same samples, with bootstrap intervals over samples; they do not cover how "
    "models differ from seed to seed."
)
# What a threshold rule compares scores with.
RULES = {
    "anchor-mean": "the mean score of the anchors",
    "anchor-quantile": "a low quantile of the anchors' scores",
    "anchor-deviation": "some standard deviations below the anchors' mean",
    "anchor-normalised": "the anchors' mean, in units of each client's own",
    "posterior": "the score of a sample that is as likely good as not",
    "reviewed": "the limit that follows from the owner's judgements",
    "ratio": "the best share of each client",
    "oracle-ratio": "the true share of good samples",
    "score": "a fixed score",
}
_PAGES = Environment(loader=PackageLoader("clues.report", "templates"), autoescape=True, trim_blocks=True)
_PAGES.filters["figure"] = lambda value: "–" if value is None else f"{value:.3f}"
_PAGES.filters["number"] = number
_PAGES.filters["size"] = size


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
        figures = [signed(row[key]) for key in ("difference", "low", "high") if row[key] is not None]
        difference, interval = (figures[0], " to ".join(figures[1:])) if figures else ("–", "–")
        models = f"{row['arm']} − {row['other']}"
        lines.append([row["domain"], row["measure"], models, difference, interval, row["verdict"]])
    columns = ["domain", "measure", "models", "difference", "95 % interval", "verdict"]
    return [Table("Differences between models", 3, columns, lines, COMPARED_NOTE)] if lines else []


def signed(value: float) -> str:
    """A difference with its sign: three decimals, or up to six where these would be zeros."""
    digits = next((count for count in range(3, 7) if round(value, count)), 3)
    return f"{round(value, digits) or 0.0:+.{digits}f}".replace("-", "−")


def write_compare_page(path: Path, tables: Sequence[Table]) -> None:
    """Write the page of a comparison. It contains no sample text."""
    write_page(path, "compare.html", tables=tables)


def write_page(path: Path, template: str, **values: Any) -> None:
    """Render a template to a file. A lone surrogate, which UTF-8 cannot encode, becomes a question mark."""
    text = _PAGES.get_template(template).render(version=__version__, **values)
    replace_whole(path, lambda part: part.write_text(text, encoding="utf-8", errors="replace"))


def source(name: str) -> str:
    """A file beside the templates, as it is."""
    return files("clues.report").joinpath("templates", name).read_text(encoding="utf-8")


def rule_in_words(rule: str, limit: float | None) -> str:
    """What a threshold is, for a sentence."""
    words = RULES.get(rule, rule)
    return words if limit is None else f"{words}, {number(limit)}"
