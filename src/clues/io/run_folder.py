"""The folder of a run: it is claimed by the settings that it holds, and never overwritten by other ones."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clues.errors import OutputError
from clues.io.digests import value_digest
from clues.io.files import without_none, write_json, write_toml
from clues.version import __version__


def claim_folder(folder: Path, config: Mapping[str, Any]) -> None:
    """Make `folder` the home of the run that `config` describes, or accept that it is already.

    Raises:
        OutputError: the folder holds the run of another configuration, or files of something else.
    """
    refuse_other_run(folder, config)
    if not (folder / "config.toml").is_file():
        write_toml(folder / "config.toml", without_none(config))


def refuse_other_run(folder: Path, config: Mapping[str, Any]) -> None:
    """The check of `claim_folder` alone, for before anything heavy; nothing is written."""
    wanted = without_none(config)
    existing = folder / "config.toml"
    if existing.is_file():
        try:
            held = tomllib.loads(existing.read_text(encoding="utf-8"))
        except ValueError:
            raise OutputError(f"{existing}: is broken; choose another --out or remove the folder.") from None
        if value_digest(held) != value_digest(wanted):
            different = ", ".join(_differences(held, wanted))
            raise OutputError(
                f"{folder}: holds another run ({different} differ); choose another --out or remove the folder."
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: exists and is not a run of ours; choose another --out.")


def write_provenance(folder: Path) -> None:
    """What made a result: versions of the packages, beside the settings that config.toml holds."""
    packages = ("torch", "transformers", "peft", "accelerate", "flwr", "safetensors")
    facts = {"clues": __version__, "python": platform.python_version(), **{p: version(p) for p in packages}}
    write_json(folder / "versions.json", facts)


def _differences(left: Mapping[str, Any], right: Mapping[str, Any], prefix: str = "") -> list[str]:
    found: list[str] = []
    for key in sorted(left.keys() | right.keys()):
        one, other = left.get(key), right.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            found += _differences(one, other, f"{prefix}{key}.")
        elif one != other:
            found.append(prefix + key)
    return found
