"""What made a result: versions of the packages, beside the settings that config.toml holds."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from clues.io.files import write_json
from clues.version import __version__


def write_provenance(folder: Path) -> None:
    packages = ("torch", "transformers", "peft", "accelerate", "flwr", "safetensors")
    facts = {"clues": __version__, "python": platform.python_version(), **{p: version(p) for p in packages}}
    write_json(folder / "versions.json", facts)
