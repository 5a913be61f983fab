"""A client's record of everything it sends, and the server's of everything it receives.

Both are append-only JSON lines. A line holds the SHA-256 of the line before it and one of its own content, so that a
line that was changed, removed or moved is found. Whoever owns a file can still write it anew from some line on, or cut
its end off: that shows where it is compared with the other party's file.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from clues.errors import DataError
from clues.io.progress import say

Items = Mapping[str, tuple[Any, bytes | memoryview]]  # by name, (shape or count, content)
_FIRST = "0" * 64  # what the first line has for the digest of the one before


class Ledger:
    """What a client sends, written after the last change to it and before it leaves."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, kind: str, items: Items) -> None:
        """Append time, kind, and the name, shape, bytes and SHA-256 of every item."""
        _append(self._path, {"kind": kind}, items)


class Received:
    """What the server receives, with the digests that the clients' ledgers have."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, client: str, kind: str, items: Items) -> None:
        """Append an answer of a client."""
        _append(self._path, {"client": client, "kind": kind}, items)


@dataclass(frozen=True)
class Verified:
    """A file without a fault. `torn`: the bytes of a last line that a crash cut off, whose message was not sent."""

    entries: list[dict[str, Any]]
    torn: int


@dataclass(frozen=True)
class Compared:
    """How a ledger agrees with the server's file. `lost`: lines of the ledger that the server did not receive."""

    received: int
    lost: list[int]


def verify_ledger(path: Path) -> Verified:
    """Check every line of a ledger, or of the server's file.

    Raises:
        DataError: a line was changed, removed or moved; names the first such line.
    """
    content = _read(path)
    whole = content[: content.rfind(b"\n") + 1]
    before, entries = _FIRST, []
    for number, line in enumerate(whole.splitlines(), start=1):
        entry = _checked(line)
        if entry is None:
            raise DataError(f"{path}, line {number}: was changed; compare it with the server's file or a backup.")
        if entry["previous"] != before:
            raise DataError(
                f"{path}, line {number}: does not follow the line before it, so a line was removed or moved there; "
                "compare the file with the server's or a backup."
            )
        before = hashlib.sha256(line).hexdigest()
        entries.append(entry)
    return Verified(entries, torn=len(content) - len(whole))


def compare_ledger(ledger: Path, received: Path, client: str) -> Compared:
    """Hold a client's ledger against what the server says it received from this client, in order.

    An answer that did not arrive is no fault; its line is listed. Errors, which carry no data, are not compared.

    Raises:
        DataError: a file does not verify, or the server received what the ledger does not hold, or nothing at all.
    """
    lines = enumerate(verify_ledger(ledger).entries, start=1)
    sent = [(number, entry) for number, entry in lines if entry["kind"] != "error"]
    count, start, lost = 0, 0, []
    arrived = verify_ledger(received).entries
    known = sorted({str(entry.get("client")) for entry in arrived})
    if client not in known:
        others = f"only of {', '.join(known)}" if known else "nor of any other"
        raise DataError(f"{received}: has nothing of client {client}, {others}; check --client.")
    for number, entry in enumerate(arrived, start=1):
        if entry.get("client") != client:
            continue
        place = next((p for p in range(start, len(sent)) if _difference(sent[p][1], entry) is None), None)
        if place is None:
            differences = [_difference(other, entry) for _, other in sent[start:]]
            nearest = min(filter(None, differences), key=len, default=[])
            what = f"differs in {', '.join(nearest)} from what the ledger holds" if nearest else "is not in the ledger"
            raise DataError(f"{received}, line {number}: {what}; do not rely on this run before it is explained.")
        lost += [line for line, _ in sent[start:place]]
        count, start = count + 1, place + 1
    return Compared(received=count, lost=lost + [line for line, _ in sent[start:]])


def _difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str] | None:
    """The names of items that differ between two entries; None if none does, empty if the messages are of two kinds."""
    if one["kind"] != other["kind"]:
        return []
    first, second = ({item["name"]: item for item in entry["items"]} for entry in (one, other))
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name)) or None


def _append(path: Path, facts: Mapping[str, Any], items: Items) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as stream:
        previous, torn = _last_line(stream)
        if torn:
            stream.truncate(stream.tell() - torn)
            say(f"{path}: a crash cut its last line off, of a message that was not sent; the line is removed.")
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            **facts,
            "bytes": sum(len(content) for _, content in items.values()),
            "items": [
                {"name": name, "shape": shape, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, (shape, content) in items.items()
            ],
            **({"repaired": torn} if torn else {}),
            "previous": hashlib.sha256(previous).hexdigest() if previous else _FIRST,
        }
        line = json.dumps({**entry, "sha256": _digest(entry)})
        stream.write(line.encode() + b"\n")
        stream.flush()
        os.fsync(stream.fileno())


def _last_line(stream: BinaryIO) -> tuple[bytes, int]:
    """(The last whole line, the bytes of a torn one after it.)"""
    size = stream.seek(0, os.SEEK_END)
    if not size:
        return b"", 0
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        end = content.rfind(b"\n") + 1
        start = content.rfind(b"\n", 0, max(end - 1, 0)) + 1
        return content[start : max(end - 1, 0)], size - end


def _checked(line: bytes) -> dict[str, Any] | None:
    """The entry of a line whose digest is right, else None."""
    try:
        entry: dict[str, Any] = json.loads(line)
        digest = entry.pop("sha256")
    except (ValueError, AttributeError, KeyError):
        return None
    return entry if digest == _digest(entry) and line == json.dumps({**entry, "sha256": digest}).encode() else None


def _digest(entry: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(entry).encode()).hexdigest()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({type(error).__name__}); check the path.") from None
