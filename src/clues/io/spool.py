"""Lists larger than memory: what does not fit is in an anonymous temporary file."""

from __future__ import annotations

import os
import pickle
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, TypeVar

from clues.errors import OutputError
from clues.io.indexed import Indexed

T = TypeVar("T")

LIMIT = 4 << 20  # bytes held in memory; a smaller list never uses the disk


class Spool:
    """A growing list of byte strings; at most `LIMIT` bytes of content, and 8 bytes per item, are in memory.

    The rest is in a temporary file (in the folder TMPDIR), which is removed with the spool or the process. It is read
    with `pread` and not mapped, as mapped pages count as memory of the process and the file's cached pages do not. Any
    number of threads and forked processes may read at once; one may append while none reads.
    """

    def __init__(self) -> None:
        self._starts = array("q", [0])  # of each item, and where the next one will start
        self._tail = bytearray()
        self._written = 0  # bytes in the file; the tail follows them
        self._file: IO[bytes] | None = None

    def append(self, item: bytes) -> None:
        """Add an item at the end.

        Raises:
            OutputError: the folder of temporary files has no room for it.
        """
        self._tail += item
        self._starts.append(self._starts[-1] + len(item))
        if len(self._tail) > LIMIT:
            self._flush()

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __getitem__(self, row: int) -> bytes:
        count = len(self)
        if not -count <= row < count:
            raise IndexError(f"item {row} of a spool of {count}")
        row %= count
        start, end = self._starts[row], self._starts[row + 1]
        if start >= self._written:
            return bytes(self._tail[start - self._written : end - self._written])
        return self._from_file(start, end)

    def _from_file(self, start: int, end: int) -> bytes:
        if self._file is None:
            raise RuntimeError("a spool has bytes in a file that it does not have")
        content = os.pread(self._file.fileno(), end - start, start)
        while len(content) < end - start:  # one call reads at most 2 GiB
            more = os.pread(self._file.fileno(), end - start - len(content), start + len(content))
            if not more:
                raise EOFError("the temporary file of a spool has been cut off")
            content += more
        return content

    def _flush(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="clues-")  # noqa: SIM115 - stays open as long as the spool
            self._file.write(self._tail)
            self._file.flush()
        except OSError as error:
            raise OutputError(
                f"{tempfile.gettempdir()}: cannot hold a temporary file ({error.strerror}); make room, or name another "
                "folder by the variable TMPDIR."
            ) from None
        self._written += len(self._tail)
        self._tail.clear()


class Spooled(Indexed[T]):
    """A growing list of pickled objects, larger than memory; each access returns a new object.

    Items may be replaced and removed. It keeps 16 bytes per item in memory, and the items that cannot be pickled.

    Args:
        values, make: take an item apart and put it together again. Plain values take half as long to pickle as an
            object with the names of its fields.
    """

    def __init__(self, values: Callable[[T], Any] | None = None, make: Callable[..., T] | None = None) -> None:
        self._values, self._make = values, make
        self._spool = Spool()
        self._places = array("q")  # of each item, in the spool
        self._held: dict[int, T] = {}  # by their places, what cannot be pickled

    def append(self, item: T) -> None:
        """Add an item at the end. Raises OutputError as `Spool.append`."""
        self._places.append(self._store(item))

    def __len__(self) -> int:
        return len(self._places)

    def _item(self, row: int) -> T:
        return self._load(self._places[row])

    def __setitem__(self, row: int, item: T) -> None:
        self._places[row] = self._store(item)

    def __iter__(self) -> Iterator[T]:
        return map(self._load, self._places)

    def keep(self, rows: Iterable[int]) -> None:
        """Keep only the items of `rows`, in that order."""
        self._places = array("q", (self._places[row] for row in rows))

    def _store(self, item: T) -> int:
        place = len(self._spool)
        try:
            content = pickle.dumps(self._values(item) if self._values else item, pickle.HIGHEST_PROTOCOL)
        except Exception:  # foreign types may raise anything
            content, self._held[place] = b"", item
        self._spool.append(content)
        return place

    def _load(self, place: int) -> T:
        if place in self._held:
            return self._held[place]
        item = pickle.loads(self._spool[place])
        return self._make(*item) if self._make else item
