"""Names of files in settings: found beside the file of settings, or where the command was started."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

EMBEDDED = "smollm2-135m"  # the model that needs no file


def _located(value: str, info: ValidationInfo) -> str:
    """The absolute path of the file, folder or pattern of that name; as it stands where there is none.

    So a run's settings mean the same wherever they are read. What is not found is told by whoever reads it.
    """
    if value == EMBEDDED:
        return value
    for folder in ((info.context or {}).get("folder"), Path.cwd()):
        if folder is None:
            continue
        path = str(Path(folder, value).absolute())
        try:
            if Path(path).exists() or (glob.has_magic(value) and glob.glob(path)):
                return path
        except (OSError, ValueError):  # no name of a file at all
            return value
    return value


Source = Annotated[str, Field(min_length=1), AfterValidator(_located)]
