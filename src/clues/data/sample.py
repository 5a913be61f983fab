"""What a record becomes: a sample, or one that cannot be used, with the reason."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from clues.data.layouts.turns import Message


@dataclass(frozen=True)
class Sample:
    """One conversation and its response.

    `context` are the turns before the response, `tools` what its record describes for the template, `record` what the
    file held, untouched, and `dialect` the layout that it was read by.
    """

    id: str
    context: list[Message]
    response: str
    domain: str
    record: dict[str, Any]
    place: str
    tools: list[dict[str, Any]] | None = None
    dialect: str = ""

    @property
    def content_digest(self) -> str:
        """SHA-256 of turns, response and tools."""
        content: list[Any] = [self.context, self.response, *([self.tools] if self.tools else [])]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Unusable:
    """A record of a private file that cannot be used, and why; `record` is what the file held, or its text as `raw`."""

    place: str
    id: str | None
    reason: str
    record: dict[str, Any]
