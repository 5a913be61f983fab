"""Digests of values, which identify finished work."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def value_digest(value: Any) -> str:
    """SHA-256 of a nested value, independent of the order of keys.

    It may hold JSON-like values, dataclasses, settings, paths, sets, and tensors (by dtype, shape and content).

    Raises:
        TypeError: it holds a value of another type.
    """
    return hashlib.sha256(_ENCODER.encode(value).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    import torch  # imported late, as most digests are of plain values

    if isinstance(value, torch.Tensor):
        content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        return [str(value.dtype), list(value.shape), hashlib.sha256(content.data).hexdigest()]
    raise TypeError(f"a digest cannot tell values of type {type(value).__name__} apart")


_ENCODER = json.JSONEncoder(sort_keys=True, default=_plain)  # made once, as json.dumps makes one for every call
