"""Finished work by content: files are named by a digest of all inputs of their value."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from clues.io.digests import value_digest
from clues.io.files import read_json, replace_whole, write_json
from clues.io.processes import once, wait
from clues.io.progress import say
from clues.version import __version__

T = TypeVar("T")


@dataclass(frozen=True)
class Codec(Generic[T]):
    """How a value is written to a file and read from it."""

    suffix: str
    write: Callable[[Path, T], object]
    read: Callable[[Path], T]


JSON: Codec[Any] = Codec(".json", write_json, read_json)


class Store:
    """A folder of finished work, with a subfolder per kind.

    The digest includes the package's version: cached results of other versions are recomputed. Writes are atomic, so
    every file is complete. Methods are called in every process of a silo; the main process writes.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    @classmethod
    def temporary(cls) -> Store:
        """A store that is removed with the object."""
        scratch = tempfile.TemporaryDirectory(prefix="clues-")
        store = cls(Path(scratch.name))
        store._scratch = scratch
        return store

    def get(self, kind: str, inputs: Any, *, compute: Callable[[], T], codec: Codec[T]) -> T:
        """What `compute` returns, computed unless it is stored.

        Args:
            inputs: everything that the value depends on, as `value_digest` accepts it.
        """
        file = self._place(kind, inputs, suffix=codec.suffix)
        stored = _readable(file, codec)
        wait()  # all processes look before one of them writes
        if stored is None:
            value = compute()
            once(lambda: replace_whole(file, lambda part: codec.write(part, value)))
        return codec.read(file) if stored is None else stored

    def find(self, kind: str, inputs: Any, *, codec: Codec[T]) -> T | None:
        """What is stored, if anything."""
        return _readable(self._place(kind, inputs, suffix=codec.suffix), codec)

    def folder(self, kind: str, inputs: Any, *, build: Callable[[Path], object]) -> Path:
        """A folder that `build` fills. After an interruption, `build` gets the partly filled folder again."""
        folder = self._place(kind, inputs)
        stored = folder.is_dir()
        wait()
        if not stored:
            part = folder.with_suffix(".part")
            once(lambda: part.mkdir(parents=True, exist_ok=True))
            build(part)
            once(lambda: _finish(part, folder))
        return folder

    def drop(self, kind: str) -> None:
        """Remove all work of a kind."""
        shutil.rmtree(self._folder / kind, ignore_errors=True)

    def _place(self, kind: str, inputs: Any, *, suffix: str = "") -> Path:
        return self._folder / kind / f"{value_digest([__version__, inputs])[:16]}{suffix}"


def _readable(file: Path, codec: Codec[T]) -> T | None:
    """What a file holds; None if there is none, or if a disk has damaged it."""
    try:
        return codec.read(file) if file.is_file() else None
    except Exception as error:  # of whatever library reads it
        say(f"{file}: cannot be read ({type(error).__name__}); it is made anew.")
        return None


def _finish(part: Path, folder: Path) -> None:
    try:
        os.replace(part, folder)
    except OSError:
        if not folder.is_dir():
            raise
        shutil.rmtree(part)  # another run has just finished the same work


def export(source: Path, target: Path) -> None:
    """Put stored files at `target`, as hard links where the disk allows, else as copies."""
    if source.is_dir():
        replace_whole(target, lambda part: shutil.copytree(source, part, copy_function=_link))
    else:
        replace_whole(target, lambda part: _link(source, part))


def _link(source: str | Path, target: str | Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
