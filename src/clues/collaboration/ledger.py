"""A client's record of everything it sends, written before it is sent."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Ledger:
    """Append-only JSON lines: time, kind, and the name, shape, bytes and SHA-256 of every item."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, kind: str, items: dict[str, tuple[Any, bytes]]) -> None:
        """Record a message before it leaves; `items`: by name, (shape or count, content)."""
        entry = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "kind": kind,
            "bytes": sum(len(content) for _, content in items.values()),
            "items": [
                {"name": name, "shape": shape, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, (shape, content) in items.items()
            ],
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(entry) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
