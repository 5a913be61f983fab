"""The architecture is what the folders say: a file imports only from its own floor or from below."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import clues

SOURCE = Path(clues.__file__).parent
FLOORS = [
    {"settings", "errors", "version", "io"},
    {"data", "models"},
    {"passes", "selection", "checks"},
    {"methods", "training", "evaluation", "merging"},
    {"silo"},
    {"collaboration"},
    {"report"},
    {"lab"},
    {"commands", "cli", "cli_bench", "cli_inspect", "cli_silo", "__init__", "__main__"},
]
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("clues."):
            found.add(node.module.split(".")[1])
    return found


def test_every_import_goes_down():
    upward = []
    for path in SOURCE.rglob("*.py"):
        own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
        upward += [f"{path.name} imports {name}" for name in imports(path) if FLOOR[name] > FLOOR[own]]
    assert upward == []


def test_scoring_and_selection_know_nothing_of_training():
    for folder in ("passes", "methods", "selection"):
        assert not any("training" in imports(path) for path in (SOURCE / folder).rglob("*.py"))


def test_the_numerical_heart_touches_no_files_and_no_flower():
    for name in ("passes/gradients.py", "passes/directions.py", "selection/threshold.py", "merging/merging.py"):
        text = (SOURCE / name).read_text()
        assert not any(word in text for word in ("flwr", "pathlib", "open(", "typer")), name


def test_no_file_is_long():
    assert [p.name for p in SOURCE.rglob("*.py") if len(p.read_text().splitlines()) > 400] == []


def functions(path: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """(name, positional parameters, keyword-only ones) of every function, without self."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            positional = [a.arg for a in (*node.args.posonlyargs, *node.args.args) if a.arg not in ("self", "cls")]
            yield f"{path.name}: {node.name}", positional, [a.arg for a in node.args.kwonlyargs]


def test_argument_lists_are_short():
    """A command line lists its options; everything else takes at most five arguments."""
    long = [
        name
        for path in SOURCE.rglob("*.py")
        if not path.name.startswith("cli")
        for name, positional, keywords in functions(path)
        if len(positional) + len(keywords) > 5
    ]
    assert long == []


def test_samples_of_several_kinds_are_never_told_apart_by_their_place():
    """Swapping validation set and anchors would pass every type check."""
    kinds = {"samples", "private", "validation", "anchors"}
    mixed = [
        name
        for path in SOURCE.rglob("*.py")
        if not path.name.startswith("cli")
        for name, positional, _ in functions(path)
        if len(kinds & set(positional)) > 1
    ]
    assert mixed == []
