"""The errors a user sees: each one sentence that names the place and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class CluesError(Exception):
    """Base of every error that is the user's to mend; commands print it and exit with code 2."""


class ConfigError(CluesError):
    """One or more settings are wrong; the message lists them all, a line each."""


class DataError(CluesError):
    """A file or record cannot be used; names file, line and field, never the text of a sample."""


class ModelError(CluesError):
    """A model or adapter cannot be loaded or does not fit."""


class TrainingError(CluesError):
    """Training cannot go on (for example the loss is no longer a number)."""


class ScoringError(CluesError):
    """Scores cannot be computed or are not numbers."""


class SelectionError(CluesError):
    """A threshold cannot be fitted or applied."""


class ProtocolError(CluesError):
    """A client failed or answered something the protocol does not know."""


class OutputError(CluesError):
    """An output path holds something else; nothing was overwritten."""


def all_of(*checks: Callable[[], Any]) -> list[Any]:
    """What each of the checks returns.

    Raises:
        CluesError: the errors of all that fail, together.
    """
    results: list[Any] = []
    failed: list[CluesError] = []
    for check in checks:
        try:
            results.append(check())
        except CluesError as error:
            failed.append(error)
    if failed:
        raise type(failed[0])("\n".join(dict.fromkeys(str(error) for error in failed)))
    return results
