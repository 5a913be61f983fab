"""What a record becomes: a sample, or an unusable record with the reason."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from clues.data.layouts.turns import Message


@dataclass(frozen=True)
class Sample:
    """One conversation and its response.

    `context`: the turns before the response. `tools`: the tool descriptions for the template. `record`: the unchanged
    record of the file. `dialect`: the layout it was read with.
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


values_of = attrgetter(*(field.name for field in fields(Sample)))  # in the order of the constructor


@dataclass(frozen=True)
class Unusable:
    """A record of a private file that cannot be used, and why. `record`: the record, or its text as `raw`."""

    place: str
    id: str | None
    reason: str
    record: dict[str, Any]
