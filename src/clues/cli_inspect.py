"""The commands that look at methods and results, and hand them on: part of the command line in `cli.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from clues.commands.guard import command as _command

app = typer.Typer()


@app.command(epilog="Example: clues methods")
@_command
def methods() -> None:
    """List the scoring methods: what they measure, their papers, their cost, and the training they need."""
    from clues.commands.tables import methods_table, show
    from clues.methods.registry import METHODS

    show(methods_table(METHODS))


@app.command(epilog="Example: clues explain runs/mine sample-17")
@_command
def explain(
    folder: Annotated[Path, typer.Argument(help="A folder that clues select wrote, or RUN/clients/NAME.")],
    identity: Annotated[str, typer.Argument(metavar="ID", help="The id of a sample.")],
) -> None:
    """Say why one sample was kept or dropped: score, features against good samples, checks, near-copies."""
    from clues.commands.explain import explain as recipe
    from clues.commands.tables import show, texts_table

    show(texts_table(identity, recipe(folder, identity)))


@app.command(epilog="Example: clues status runs/demo")
@_command
def status(
    folder: Annotated[Path, typer.Argument(help="A folder that clues run, score or train writes.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say how far a run is, which may be under way: clients and phases, rounds, the last error."""
    from clues.commands.status import status as recipe
    from clues.commands.tables import present, texts_table
    from clues.io.live import board_table

    found = recipe(folder)
    board = [board_table(found.board)] if found.board.cells else []
    present(found.as_dict(), texts_table(str(folder), found.facts), *board)


@app.command(epilog="Example: clues export runs/mine --format trl --out runs/for-trl")
@_command
def export(
    folder: Annotated[Path, typer.Argument(help="A folder that clues select wrote, or RUN/clients/NAME.")],
    form: Annotated[str, typer.Option("--format", help="datasets, trl, axolotl or llama-factory.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
) -> None:
    """Write the kept samples for another training tool, and print the snippet that starts it."""
    from clues.commands.export import export as recipe

    print(recipe(folder, form, out))
