"""What a client's ledger says was sent, in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The facts of answers (`clues.collaboration.protocol`); where one is empty, its name is sent all the same.
_WORDS = {
    "samples": "number of samples",
    "unusable": "number of unusable records",
    "good_share": "share of good samples, if there are labels",
    "mask_key": "public key, if the run uses masks",
    "anchors": "scores of the anchors",
    "checks": "how often each check found something",
    "weight": "number of samples trained on",
    "missing": "adapters that it asks for",
    "verdicts": "numbers of kept and dropped samples, by threshold",
    "clipped": "how many numbers were clipped",
    "reason": "why it failed: the type of an error, or a refusal",
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
    facts = [item["name"].removeprefix("facts.") for item in items if item["name"].startswith("facts.")]
    tensors = len(items) - len(facts)
    adapter = [f"an adapter ({tensors} tensor{'' if tensors == 1 else 's'})"] if tensors else []
    return "; ".join([*adapter, *(_WORDS.get(name, name) for name in facts)]) or "nothing"


def size(count: float) -> str:
    """Bytes in words."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"
