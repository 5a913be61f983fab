"""`clues.select`: of a folder that was scored, or of a data set in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, overload

from clues.commands.select import select as select_folder
from clues.settings import SelectionSettings
from clues.silo.datasets import select_dataset


@overload
def select(source: str | Path, /, settings: SelectionSettings, **options: Any) -> dict[str, Any]: ...
@overload
def select(source: Any, /, **options: Any) -> Any: ...


def select(source: Any, /, *arguments: Any, **options: Any) -> Any:
    """Keep what is worth training on.

    Args:
        source: a folder that `clues.score` wrote, with the arguments of `clues.commands.select.select`; or a
            `datasets.Dataset`, with those of `clues.silo.datasets.select_dataset`.

    Returns:
        For a folder, what its selection.json holds; for a data set, its kept rows as a data set.
    """
    if isinstance(source, str | Path):
        return select_folder(Path(source), *arguments, **options)
    return select_dataset(source, *arguments, **options)
