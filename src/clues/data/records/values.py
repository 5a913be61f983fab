"""What counts as a value: missing ones, texts that cannot be written, and names that may be shown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

_DEEPEST = 100  # levels of lists and objects in one record
_NAME = re.compile(r"[\w.\-/:]{1,40}")


def missing(value: Any) -> bool:
    """Whether there is no value: null, or a number that is none, as pandas writes what is missing."""
    return value is None or (isinstance(value, float) and not math.isfinite(value))


def blank(value: Any) -> bool:
    """Whether a field says nothing: missing, an empty list or object, or white space alone."""
    return missing(value) or (isinstance(value, str) and not value.strip()) or value in ([], {}, ())


def text_flaw(text: str) -> str:
    """What keeps a text from being written or tokenized, as the end of a sentence; empty where nothing does."""
    if "\0" in text:
        return f"holds a NUL character, at character {text.index(chr(0)) + 1}; remove it"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return (
            f"holds half of a surrogate pair, which is no character, at character {error.start + 1}; write the "
            "character whole or remove it"
        )
    return ""


def value_flaw(value: Any) -> str:
    """`text_flaw` of the first text with one in a JSON-like value; another remedy where it is none."""
    if isinstance(value, str):
        return text_flaw(value)
    if isinstance(value, Mapping):
        return next((flaw for pair in value.items() for item in pair if (flaw := value_flaw(item))), "")
    if isinstance(value, list | tuple):
        return next((flaw for item in value if (flaw := value_flaw(item))), "")
    return (
        "" if value is None or isinstance(value, bool | int | float) else "holds what JSON has no form for; use texts"
    )


def too_deep(value: Any, left: int = _DEEPEST) -> bool:
    """Whether lists and objects lie so deep within each other that nothing can handle them safely."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    inner: Iterable[Any] = value.values() if isinstance(value, Mapping) else value
    return left == 0 or any(too_deep(item, left - 1) for item in inner)


def pruned(value: Any) -> Any:
    """A JSON-like value without the keys whose value is missing: Arrow gives every object of a column the same keys."""
    if isinstance(value, Mapping):
        return {key: pruned(item) for key, item in value.items() if not missing(item)}
    return [pruned(item) for item in value] if isinstance(value, list | tuple) else value


def shown_names(names: Iterable[Any], most: int = 10) -> str:
    """Names of fields for a message. What does not look like a name may be private text in its place: not shown."""
    listed = list(names)
    shown = [f"'{name}'" if _NAME.fullmatch(str(name)) else f"a name of {len(str(name))} characters" for name in listed]
    more = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(shown[:most]) + more
