"""Checks of values: missing ones, texts that cannot be written, and names that may be shown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

_DEEPEST = 100  # levels of lists and objects in one record
_NESTED = (Mapping, list, tuple)
_NAME = re.compile(r"[\w.\-/:]{1,40}")


def missing(value: Any) -> bool:
    """Whether a value is null or not a finite number, as pandas writes missing values."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def blank(value: Any) -> bool:
    """Whether a value is missing, an empty list or object, or only white space."""
    return not value.strip() if isinstance(value, str) else missing(value) or value in ([], {}, ())


def text_flaw(text: str) -> str:
    """Why a text cannot be written or tokenized, as the end of a sentence; empty if it can."""
    if "\0" in text:
        return f"contains a NUL character at character {text.index(chr(0)) + 1}; remove it"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return (
            f"contains half of a surrogate pair at character {error.start + 1}; write the full character or remove it"
        )
    return ""


def value_flaw(value: Any) -> str:
    """The first `text_flaw` in a JSON-like value, or the flaw of a value that JSON cannot represent."""
    if isinstance(value, str):
        return text_flaw(value)
    if isinstance(value, Mapping):
        return next((flaw for pair in value.items() for item in pair if (flaw := value_flaw(item))), "")
    if isinstance(value, list | tuple):
        return next((flaw for item in value if (flaw := value_flaw(item))), "")
    return (
        ""
        if value is None or isinstance(value, bool | int | float)
        else "contains a value that JSON cannot represent; use texts"
    )


def too_deep(value: Any, left: int = _DEEPEST) -> bool:
    """Whether lists and objects are nested too deeply to be handled safely."""
    if isinstance(value, str) or not isinstance(value, _NESTED):  # most are texts, and a Mapping is slow to tell
        return False
    inner: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
    return left == 0 or any(too_deep(item, left - 1) for item in inner)


def pruned(value: Any) -> Any:
    """A JSON-like value without missing entries: Arrow gives all objects of a column the same keys."""
    if isinstance(value, Mapping):
        return {key: pruned(item) for key, item in value.items() if not missing(item)}
    return [pruned(item) for item in value] if isinstance(value, list | tuple) else value


def shown_names(names: Iterable[Any], most: int = 10) -> str:
    """Field names for a message. What does not look like a name may be private text and is not shown."""
    listed = list(names)
    shown = [f"'{name}'" if _NAME.fullmatch(str(name)) else f"a name of {len(str(name))} characters" for name in listed]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(shown[:most]) + more
