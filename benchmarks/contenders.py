"""Every way to the products by name, and which libraries it takes."""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
from collections.abc import Callable

import ways
from ways import Way

FLOOR, OURS, PUBLISHED = "forward only", "ours", "published way"


def _peer(module: str, name: str, loss: str | None = None) -> Way:
    """Imported only where it runs: in its own process."""
    way = getattr(importlib.import_module(f"peers.{module}"), name)
    if loss is None:
        return way
    return functools.partial(way, loss=getattr(importlib.import_module("peers.losses"), loss))


# name → (distribution that must be installed or None, how to get the way)
CONTENDERS: dict[str, tuple[str | None, Callable[[], Way]]] = {
    FLOOR: (None, lambda: ways.forward_only),
    OURS: (None, lambda: ways.ours),
    PUBLISHED: (None, lambda: ways.published),
    "bergson": ("bergson", lambda: _peer("bergson", "loaded")),
    "bergson, commands": ("bergson", lambda: _peer("bergson", "commands")),
    "kronfluence": ("kronfluence", lambda: _peer("kronfluence", "scoring", "all_logits")),
    "kronfluence, our loss": ("kronfluence", lambda: _peer("kronfluence", "scoring", "response_logits")),
    "dattri-llm": ("dattri-llm", lambda: _peer("dattri_llm", "scoring", "all_logits")),
    "dattri-llm, our loss": ("dattri-llm", lambda: _peer("dattri_llm", "scoring", "response_logits")),
}


def way_of(name: str) -> Way:
    return CONTENDERS[name][1]()


def version(name: str) -> str | None:
    """Of the library that a contender takes; None where it is not installed, empty where it takes none."""
    distribution = CONTENDERS[name][0]
    if distribution is None:
        return ""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
