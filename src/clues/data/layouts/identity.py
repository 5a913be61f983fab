"""Ids and domains of samples, and unique labels for files."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clues.data.layouts.dialects import FieldError, RecordError
from clues.data.records.text import stem
from clues.data.records.values import blank, text_flaw

# Columns of scores.parquet.
RESERVED_DOMAINS = {"id", "score", "dot", "cosine", "paper", "loss", "norm", "base_loss"}
RESERVED_DOMAINS |= {"agreement", "likeness", "ending", "relevance", "typicality"}
RESERVED_DOMAINS |= {"checks", "duplicate_of", "copy_of_public"}


def own_id(record: Mapping[str, Any]) -> str | None:
    """The record's id, or None if it has none. Raises FieldError."""
    return _label(record, "id")


def domain_of(record: Mapping[str, Any], default: str) -> str:
    """A record's domain, stripped, or `default` if it has none. Raises RecordError."""
    domain = _label(record, "domain") or default
    if domain in RESERVED_DOMAINS:
        raise RecordError(f"domain '{domain}' is reserved for a column of scores.parquet; choose another name")
    return domain


def _label(record: Mapping[str, Any], field: str) -> str | None:
    value = record.get(field)
    if blank(value):
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # pandas writes integers as floats in columns with missing values
    if isinstance(value, list | tuple | dict | bytes):
        raise FieldError(field, "is not a text or a number; write one of the two")
    text = str(value)
    flaw = text_flaw(text)
    if flaw:
        raise FieldError(field, flaw)
    return text.strip() if field == "domain" else text


def similar_names(names: Iterable[str]) -> list[list[str]]:
    """Groups of names that differ only in capitals, blanks or hyphens."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        groups[re.sub(r"[\s_-]+", " ", name).casefold()].append(name)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def file_labels(files: Iterable[Path]) -> dict[Path, str]:
    """A unique label for each file: its stem, with as many of its folders as necessary."""
    paths = list(dict.fromkeys(files))
    labels = {path: stem(path) for path in paths}
    for depth in range(1, max((len(path.parts) for path in paths), default=1)):
        taken: dict[str, list[Path]] = defaultdict(list)
        for path, label in labels.items():
            taken[label].append(path)
        clashing = [path for group in taken.values() if len(group) > 1 for path in group]
        if not clashing:
            break
        for path in clashing:
            labels[path] = "/".join([*path.parts[:-1][-depth:], path.name if depth > 1 else stem(path)])
    return labels
