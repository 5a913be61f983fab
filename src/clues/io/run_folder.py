"""The folder of a run: it belongs to the settings that it holds, and is never overwritten by others."""

from __future__ import annotations

import platform
import tomllib
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from clues.errors import OutputError
from clues.io.files import without_none, write_json, write_toml
from clues.io.progress import claimed, say
from clues.version import __version__

# Settings that change no result but by rounding: a run continues with others.
_INCIDENTAL = {
    "scoring.batch_size",
    "scoring.batch_tokens",
    *(
        f"evaluation.judge.{key}"
        for key in ("key_env", "timeout", "retries", "concurrency", "input_price", "output_price", "budget")
    ),
}
_LOCKS: dict[Path, FileLock] = {}  # until this process ends


def claim_folder(folder: Path, config: Mapping[str, Any]) -> None:
    """Make `folder` that of the run described by `config`, unless it is already.

    Raises:
        OutputError: the folder holds a run of another configuration, or other files; or another process writes to it.
    """
    refuse_other_run(folder, config)
    if not (folder / "config.toml").is_file():
        write_toml(folder / "config.toml", without_none(config))
    _lock(folder)
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
        raise OutputError(f"{folder}: exists and is not a CLUES run; choose another --out.")


def _lock(folder: Path) -> None:
    """Two processes that write to one folder would remove each other's unfinished work."""
    place = folder.resolve()
    lock = _LOCKS.setdefault(place, FileLock(place / ".lock"))
    try:
        if not lock.is_locked:
            lock.acquire(timeout=0)
    except Timeout:
        raise OutputError(
            f"{folder}: another command is writing there; wait until it has ended, or choose another --out."
        ) from None
    except (NotImplementedError, OSError) as error:
        say(f"{folder}: cannot be locked ({type(error).__name__}); do not start the same command twice at once.")


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
