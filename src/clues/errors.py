"""The errors users see: each message is one sentence that names the place and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class CluesError(Exception):
    """Base of all errors the user can fix; commands print the message and exit with code 2."""


class ConfigError(CluesError):
    """Settings are wrong; the message lists all of them, one per line."""


class DataError(CluesError):
    """A file or record cannot be used; the message names file, line and field, never the text of a sample."""


class ModelError(CluesError):
    """A model or adapter cannot be loaded or does not fit."""


class TrainingError(CluesError):
    """Training cannot continue (for example, the loss is not a number)."""


class EvaluationError(CluesError):
    """A model cannot be evaluated, for example because a judge does not answer."""


class ScoringError(CluesError):
    """Scores cannot be computed or are not numbers."""


class SelectionError(CluesError):
    """A threshold cannot be fitted or applied."""


class ProtocolError(CluesError):
    """A client failed or its answer violates the protocol."""


class OutputError(CluesError):
    """An output path contains something else; nothing was overwritten."""


def all_of(*checks: Callable[[], Any]) -> list[Any]:
    """Run all checks and return their results.

    Raises:
        CluesError: one or more checks fail; the message joins theirs.
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
