"""Options that several commands share, and how their values become settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

Set = Annotated[list[str] | None, typer.Option("--set", help="A setting, as key=value; repeatable.")]
Model = Annotated[
    str | None, typer.Option("--model", help="Hub id or folder of the base model; default: the embedded SmolLM2-135M.")
]
Seed = Annotated[int, typer.Option(help="Random seed.")]
Validation = Annotated[list[str], typer.Option(help="Good public samples that show what is wanted; repeatable.")]
Anchors = Annotated[list[str], typer.Option(help="A few good public samples that set the threshold; repeatable.")]
Labels = Annotated[str | None, typer.Option(help="Labels (id, quality: good|low, kind), for metrics only.")]

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and warnings only.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON lines on stdout: one event each, and last the result.")]
Owner = Annotated[Path, typer.Argument(help="A folder written by clues score, or a client's: RUN/clients/ID.")]


def names(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; lists of names and numbers are split. The others keep the settings' defaults."""
    return {key: names(v) if isinstance(v, str) else v for key, v in options.items() if v is not None}


def base(model: str | None) -> dict[str, dict[str, str]]:
    """The settings that --model gives."""
    return {"model": {"id": model}} if model else {}
