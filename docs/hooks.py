"""Pages that are made from something else: the README and the public API for the site, and docs/settings.md.

After a change of settings, `python docs/hooks.py` writes docs/settings.md anew.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import posixpath
import re
import textwrap
import tokenize
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

import clues
from clues import settings
from clues.settings import Settings

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

ROOTS: dict[str, type[Settings]] = {
    "clues run CONFIG": settings.RunSettings,
    "clues score": settings.ScoreSettings,
    "clues select": settings.SelectSettings,
    "clues train": settings.TrainSettings,
    "clues merge": settings.MergeSettings,
    "clues evaluate": settings.EvaluateSettings,
    "clues corrupt": settings.CorruptSettings,
    "clues partition": settings.PartitionSettings,
    "clues client start SILO": settings.SiloFile,
    "[compare] of clues compare": settings.CompareSettings,
}

BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}

SETTINGS = """\
# Settings

A settings file is TOML. A dotted heading is a table of it: `scoring.method` is the key `method` of the table
`[scoring]`. On the command line, `--set scoring.method=paper` changes any setting, and can be repeated. Commands take
the tables that they use, so `clues score` knows `[scoring]` but not `[merging]`. Unknown keys and wrong values are all
reported at once, before anything is computed. The [overview](../README.md#settings) explains those that matter most.
"""

API = """\
# Python API

What `clues` exports. Names are imported on first use, so that `import clues` does not import torch. The keys of the
settings classes are on the [settings page](settings.md).
"""


def on_files(files: Any, config: Any) -> Any:
    from mkdocs.structure.files import File

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    made = {"index.md": readme, "api.md": api_page()}
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links into the repository at pages of the site; what the site does not have stays as text."""
    name = page.file.src_uri
    source = ROOT if name == "index.md" else (DOCS / name).parent

    def link(found: re.Match[str]) -> str:
        text, target = found.groups()
        path, mark, anchor = target.partition("#")
        if not path or ":" in path:
            return found[0]
        file = (source / path).resolve()
        if file == ROOT / "README.md":
            here = "index.md"
        elif file.is_relative_to(DOCS):
            here = file.relative_to(DOCS).as_posix()
        else:
            return text if file.exists() else found[0]
        return f"[{text}]({posixpath.relpath(here, posixpath.dirname(name) or '.')}{mark}{anchor})"

    return re.sub(r"\[([^\[\]]+)\]\(([^()\s]+)\)", link, markdown)


def api_page() -> str:
    """A mkdocstrings block for each public name; settings classes without their keys."""
    blocks = []
    for name in clues.__all__:
        if not name.startswith("_"):
            keys = "\n    options:\n      members: false\n      show_signature: false" if name in dir(settings) else ""
            blocks.append(f"::: clues.{name}{keys}\n")
    return "\n".join([API, *blocks])


def settings_page() -> str:
    """Every table of settings: name, type, default, and the comment beside it in the source."""
    names: dict[str, str] = {}  # of tables, by class: the shortest in a run, else the first elsewhere
    tables = [*sorted(_tables(settings.RunSettings), key=lambda table: table[0].count("."))]
    tables += [table for kind in ROOTS.values() for table in _tables(kind)]
    shown: dict[str, type[Settings]] = {}
    for name, kind in tables:
        if kind.__name__ not in names:
            names[kind.__name__] = name
            shown[name] = kind
    return "\n".join([SETTINGS, *(_section(name, kind, names) for name, kind in (ROOTS | shown).items())])


def _tables(kind: type[Settings], above: str = "") -> Iterator[tuple[str, type[Settings]]]:
    """The tables inside a table, at any depth: dotted name and class."""
    for key, field in kind.model_fields.items():
        for inner in (field.annotation, *typing.get_args(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, Settings):
                yield above + key, inner
                yield from _tables(inner, f"{above}{key}.")


def _section(name: str, kind: type[Settings], names: dict[str, str]) -> str:
    keys, said = kind.model_json_schema()["properties"], meanings(kind)
    rows = [
        f"| `{key}` | {_type(keys[key], names)} | {_default(field)} | {said[key]} |"
        for key, field in kind.model_fields.items()
    ]
    head = ["| key | type | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {name}", "", inspect.cleandoc(kind.__doc__ or ""), "", *head, *rows, ""])


def _type(schema: dict[str, Any], names: dict[str, str]) -> str:
    """A JSON schema in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"table [{names[name]}](#{names[name].replace('.', '')})" if name in names else "table"
    if "anyOf" in schema:
        return " or ".join(_type(part, names) for part in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = {"array": "list", "object": "table", "null": "none"}.get(schema.get("type", ""), schema.get("type", "any"))
    if "items" in schema:
        kind += f" of {_type(schema['items'], names)}"
    bounds = ", ".join(f"{sign} {schema[bound]:g}" for bound, sign in BOUNDS.items() if bound in schema)
    return f"{kind} {bounds}".rstrip()


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    return "" if isinstance(value, Settings) else "none" if value is None else f"`{json.dumps(value)}`"


def meanings(kind: type[Settings]) -> dict[str, str]:
    """By key: the comment in the source, else the description of its type, else what its table is; or nothing."""
    comments = _comments(kind)
    return {
        key: comments.get(key) or field.description or _first_sentence(field.annotation)
        for key, field in kind.model_fields.items()
    }


def _first_sentence(kind: Any) -> str:
    table = isinstance(kind, type) and issubclass(kind, Settings)
    text = " ".join(inspect.cleandoc(kind.__doc__ or "").split()) if table else ""
    return re.split(r"\.(?= |$)", text)[0].replace("|", r"\|")


def _comments(kind: type[Settings]) -> dict[str, str]:
    """By key: the comment lines above it and the comment beside it."""
    source = textwrap.dedent(inspect.getsource(kind))
    lines = source.splitlines()
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = {}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            first = node.lineno
            while lines[first - 2].lstrip().startswith("#"):
                first -= 1
            texts = [comments[line] for line in range(first, (node.end_lineno or first) + 1) if line in comments]
            found[node.target.id] = " ".join(texts).replace("|", r"\|")
    return found


if __name__ == "__main__":
    (DOCS / "settings.md").write_text(settings_page(), encoding="utf-8")
