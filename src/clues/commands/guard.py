"""What surrounds every command: signs of life, and errors in one sentence."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from clues.errors import CluesError, ConfigError
from clues.io.processes import process_count
from clues.io.progress import Mode, heartbeat, reporting, say, task

_SERVING = ("client start", "server start")  # they say what happens, not that time passes


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Report errors on stderr in one sentence: of users with exit code 2, our own with a log and exit code 1."""

    name = function.__name__.replace("_", " ")

    @functools.wraps(function)
    def guarded(*arguments: Any, **options: Any) -> None:
        try:
            if process_count() > 1 and name != "score":
                raise ConfigError(f"clues {name}: runs in one process; start it without a launcher.")
            heard = contextlib.nullcontext() if name in _SERVING else heartbeat()
            with reporting(_mode(**options)), heard, task(f"clues {name}"):
                function(*arguments, **options)
        except CluesError as error:
            print(f"Error: {error}", file=sys.stderr)  # not `say`, which prints in the main process only
            raise typer.Exit(2) from None
        except typer.Exit:  # a command's own exit code
            raise
        except KeyboardInterrupt:
            say("Stopped. Run the same command again to continue.")
            raise typer.Exit(130) from None
        except BrokenPipeError:
            with open(os.devnull, "w") as nowhere:  # or Python complains of what is not yet written
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
            print(f"clues {name}: its output is read by nobody any more; it stopped.", file=sys.stderr)
            raise typer.Exit(1) from None
        except Exception as error:
            if os.environ.get("CLUES_TRACEBACK"):
                raise
            log = Path(tempfile.gettempdir()) / f"clues-{function.__name__}-{os.getpid()}.log"
            log.write_text(traceback.format_exc(), encoding="utf-8")
            print(f"Error: {_refused(error) or _bug(error, name)} {log}, which may quote your data.", file=sys.stderr)
            raise typer.Exit(1) from None

    return guarded


def _refused(error: Exception) -> str:
    """What the system refuses, such as to write to a full disk or without permission; else empty."""
    if not isinstance(error, OSError) or not error.strerror:
        return ""
    if error.filename:
        what = f"{error.filename}: {error.strerror}; check the path and its permissions."
    else:
        what = f"{error.strerror}; check addresses, and the space that is left on the disk."
    return f"{what} Details are in"


def _bug(error: Exception, name: str) -> str:
    return (
        f"clues {name} failed because of a bug ({type(error).__name__}). Finished work is kept. Please report it with"
    )


def _mode(*, quiet: bool = False, json: bool = False, **_: Any) -> Mode:
    """Raises ConfigError where both options are given."""
    if quiet and json:
        raise ConfigError("--quiet, --json: give one of the two; --json prints nothing but JSON lines.")
    return "json" if json else "quiet" if quiet else "shown"
