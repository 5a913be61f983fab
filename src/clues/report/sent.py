"""What a client's ledger says was sent, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_WORDS = {
    "facts": "names and counts, as text",
    "num-examples": "number of samples",
    "expected-good": "expected number of good samples",
    "reason": "the type of an error",
}


@dataclass(frozen=True)
class Sent:
    """A message: when it left, its kind, its content in words, and its bytes."""

    time: str
    kind: str
    content: str
    bytes: int


def read_sent(ledger: Path) -> list[Sent]:
    """The messages of a ledger, in order; none where there is no ledger. A line cut short by a crash is left out."""
    lines = ledger.read_text(encoding="utf-8").splitlines() if ledger.is_file() else []
    entries = [json.loads(line) for line in lines if line.endswith("}")]
    return [Sent(e["time"], e["kind"], _content(e["items"]), e["bytes"]) for e in entries]


def _content(items: Sequence[Mapping[str, Any]]) -> str:
    tensors = [item for item in items if len(item["shape"]) > 1]
    parts = [f"an adapter ({len(tensors)} tensors)"] if tensors else []
    for item in items:
        if item not in tensors:
            name = item["name"].rpartition(".")[2]
            many = item["shape"][0] if item["shape"] else 1
            parts.append(_WORDS.get(name, name if many == 1 else f"{name} of {many} anchors"))
    return "; ".join(parts) or "nothing"


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
