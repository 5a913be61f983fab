"""`clues export`: the kept samples for another training tool."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clues.data.samples import read_private
from clues.data.telling import told_before
from clues.errors import ConfigError, OutputError
from clues.io.files import read_json
from clues.models import embedded
from clues.report.export import FORMATS, Recipe
from clues.report.export import export as write
from clues.settings import DataSettings, LoraSettings, ModelSettings, TrainingSettings, read_toml
from clues.silo.folder import JOB


@told_before()
def export(folder: Path, form: str, out: Path) -> str:
    """Write the samples that `folder` keeps to `out`; return the snippet that trains on them.

    Args:
        folder: one that `clues select` wrote, or a client's folder in a run. form: one of `FORMATS`.

    Raises:
        CluesError: an unknown format, nothing is kept, or `out` exists.
    """
    if form not in FORMATS:
        raise ConfigError(f"--format {form}: is not known; use one of {', '.join(FORMATS)}.")
    kept = folder / "kept.jsonl"
    if not kept.is_file():
        raise OutputError(f"{folder}: holds no kept.jsonl; run clues select, or name RUN/clients/NAME.")
    if not kept.stat().st_size:
        raise OutputError(f"{folder}: keeps no sample; loosen the threshold and select again.")
    if out.exists():
        raise OutputError(f"{out}: exists already; choose another --out.")
    config, model = _settings(folder)
    data = DataSettings(**config.get("data", {}))
    recipe = Recipe(
        model=embedded.PUBLISHED if model == embedded.NAME else model,
        lora=LoraSettings(**config.get("lora", {})),
        training=TrainingSettings(**config.get("training", {})),
        max_tokens=data.max_tokens,
        out=out,
    )
    return write(read_private(kept, data).samples, form, recipe)


def _settings(folder: Path) -> tuple[dict[str, Any], str]:
    """The settings of a selection and the name of its model: from its own file, its run's, or the terms of its job."""
    for file in (folder / "config.toml", folder.parent.parent / "config.toml"):
        if file.is_file():
            config = read_toml(file)
            return config, ModelSettings(**config.get("model", {})).id
    if not (folder / JOB).is_file():
        raise OutputError(
            f"{folder}: holds neither config.toml nor {JOB}; name a folder that clues select or run wrote."
        )
    terms = read_json(folder / JOB)["terms"]
    return terms, terms["model"]["name"]
