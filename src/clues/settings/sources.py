"""File names in settings: looked up in the folder of the settings file, then in the working directory."""

from __future__ import annotations

import glob
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo

EMBEDDED = "smollm2-135m"  # the model that needs no file


def _located(value: str, info: ValidationInfo) -> str:
    """The absolute path of an existing file, folder or pattern, so that settings mean the same wherever they are read.

    Other names are returned unchanged; reading them raises the error.
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
        except (OSError, ValueError):  # not a valid file name
            return value
    return value


Source = Annotated[str, Field(min_length=1), AfterValidator(_located)]
