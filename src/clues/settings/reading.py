"""Reading and validating settings from files and `key=value` overrides; all errors are reported at once."""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from clues.errors import ConfigError
from clues.settings.tables import Settings

S = typing.TypeVar("S", bound=Settings)


def validated(kind: type[S], values: Mapping[str, Any], overrides: Sequence[str] = (), folder: Path | None = None) -> S:
    """Build settings of `kind`, applying `key=value` overrides first.

    Args:
        folder: the folder of the settings file, where files named in the settings are looked up first.

    Raises:
        ConfigError: settings are wrong; lists every key with its remedy.
    """
    tree, wrong = _with_overrides(values, overrides)
    try:
        settings = kind.model_validate(tree, context={"folder": folder})
    except ValidationError as error:
        wrong += [_sentence(kind, dict(item)) for item in error.errors()]
    if wrong:
        raise ConfigError("\n".join(wrong))
    return settings


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file. Raises ConfigError if it is missing or broken."""
    if not path.is_file():
        raise ConfigError(f"{path}: no such file; give the path of a TOML file of settings.")
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text (byte {error.start}); convert it to UTF-8.") from None
    except ValueError as error:  # not TOML, or a number with thousands of digits
        raise ConfigError(f"{path}: is not valid TOML ({error}); fix it.") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deeply for a settings file; flatten it.") from None


def _with_overrides(values: Mapping[str, Any], overrides: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    tree = {key: dict(item) if isinstance(item, Mapping) else item for key, item in values.items()}
    wrong: list[str] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            wrong.append(f"--set {override}: write it as key=value, for example scoring.similarity=dot.")
            continue
        *path, last = key.strip().split(".")
        node: Any = tree
        for name in path:
            node = node.setdefault(name, {}) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            wrong.append(f"--set {override}: {'.'.join(path)} is not a table of settings; check the key.")
            continue
        node[last] = _toml_value(text)
    return tree, wrong


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text


def _sentence(kind: type[Settings], error: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        similar = _similar_key(kind, error["loc"][:-1], name=str(error["loc"][-1]))
        hint = f"did you mean '{similar}'?" if similar else "remove it."
        return f"{key}: unknown setting; {hint}"
    if error["type"] == "missing":
        return f"{key}: is required; add it."
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] == "too_short" and not error["input"]:
        return f"{key}: is empty; give at least {error['ctx']['min_length']}."
    similar = _similar_value(error)
    if similar:
        return f"{key}: '{error['input']}' is not known; did you mean '{similar}'?"
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]} (got {_short(error['input'])}); change it."


def _similar_value(error: dict[str, Any]) -> str | None:
    """A similar one of the values that a setting may have."""
    expected = re.findall(r"'([^']+)'", error["ctx"]["expected"]) if error["type"] == "literal_error" else []
    return next(iter(difflib.get_close_matches(str(error["input"]), expected, n=1)), None)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"


def _similar_key(kind: type[Settings], location: Sequence[Any], *, name: str) -> str | None:
    """A similar key of the table; at the top level preferably a key of that name in any table."""
    keys = _keys(kind, location)
    similar = difflib.get_close_matches(name, keys, n=1)
    inside = [] if location else [f"{table}.{name}" for table in keys if name in _keys(kind, [table])]
    return next(iter(inside + similar), None)


def _keys(kind: Any, location: Sequence[Any]) -> list[str]:
    """Names of the settings in the table at `location`."""
    for part in location:
        if isinstance(part, int):
            continue
        kind = kind.model_fields[part].annotation
        while typing.get_origin(kind) not in (None, typing.Literal):
            kind = typing.get_args(kind)[0]
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []
