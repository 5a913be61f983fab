"""The folder of a run: it belongs to the settings that it holds, and is never overwritten by others."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from clues.errors import OutputError
from clues.io.files import without_none, write_json, write_toml
from clues.io.progress import claimed
from clues.version import __version__

# Settings that change no result: a run continues with others.
_INCIDENTAL = {
    f"evaluation.judge.{key}"
    for key in ("key_env", "timeout", "retries", "concurrency", "input_price", "output_price", "budget")
}


def claim_folder(folder: Path, config: Mapping[str, Any]) -> None:
    """Make `folder` that of the run described by `config`, unless it is already.

    Raises:
        OutputError: the folder holds a run of another configuration, or other files.
    """
    refuse_other_run(folder, config)
    if not (folder / "config.toml").is_file():
        write_toml(folder / "config.toml", without_none(config))
    claimed(folder)


def refuse_other_run(folder: Path, config: Mapping[str, Any]) -> None:
    """The check of `claim_folder`, without writing, for use before any long work."""
    wanted = without_none(config)
    existing = folder / "config.toml"
    if existing.is_file():
        try:
            held = tomllib.loads(existing.read_text(encoding="utf-8"))
        except ValueError:
            raise OutputError(f"{existing}: is broken; choose another --out or remove the folder.") from None
        different = [name for name in _differences(held, wanted) if name not in _INCIDENTAL]
        if different:
            raise OutputError(
                f"{folder}: holds another run ({', '.join(different)} differ); choose another --out or remove the "
                "folder."
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: exists and is not a run of ours; choose another --out.")


def write_provenance(folder: Path) -> None:
    """Write the versions of the packages; config.toml holds the settings."""
    write_json(folder / "versions.json", provenance())


def provenance() -> dict[str, str]:
    """The versions of the package, of Python and of the libraries."""
    packages = ("torch", "transformers", "peft", "accelerate", "flwr", "safetensors")
    return {"clues": __version__, "python": platform.python_version(), **{p: version(p) for p in packages}}


def _differences(left: Mapping[str, Any], right: Mapping[str, Any], *, prefix: str = "") -> list[str]:
    names: list[str] = []
    for key in sorted(left.keys() | right.keys()):
        one, other = left.get(key), right.get(key)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            names += _differences(one, other, prefix=f"{prefix}{key}.")
        elif one != other:
            names.append(prefix + key)
    return names
