"""The words of a text in any script, without case and punctuation."""

from __future__ import annotations

import re
import unicodedata

# Scripts written without spaces between words: each character is a word. Thai, Lao, Myanmar, Khmer; kana, Han.
_UNSPACED = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)


class _Replaced(dict[int, str]):
    """A table for `str.translate` that replaces punctuation and symbols, as in Unicode, and learns as it is used."""

    def __init__(self, by: str) -> None:
        self._by = by

    def __missing__(self, code: int) -> str:
        self[code] = self._by if unicodedata.category(chr(code))[0] in "PS" else chr(code)
        return self[code]


_TABLES = {by: _Replaced(by) for by in ("", " ")}


def normalised(text: str, *, punctuation: str) -> str:
    """Lower case and NFKC, with punctuation and symbols replaced by `punctuation`, a space or nothing."""
    return unicodedata.normalize("NFKC", text).lower().translate(_TABLES[punctuation])


def split(text: str) -> list[str]:
    """The words of a normalised text."""
    return _UNSPACED.sub(r" \1 ", text).split()


def words(text: str) -> list[str]:
    """The words of a text, in order."""
    return split(normalised(text, punctuation=" "))
