"""The language of a text, its sentences, and the stock phrases of each language."""

from __future__ import annotations

import functools
import random
import re
import tomllib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from typing import Any

LANGUAGES = ("en", "de", "fr", "es", "zh")
_WORD = re.compile(r"[^\W\d_]+")
# A full stop after an initial or a title ends no sentence.
_SHORT = (r"[^\W\d_]", "Dr", "Mr", "Mrs", "Ms", "Nr", "Prof", "Sr", "Sra", "St")
_NO_END = "".join(rf"(?<!\b{short}\.)" for short in _SHORT)
_ENDS = (
    rf"(?<=[.!?…]){_NO_END}[\"”»’)]*(?=\s+[\"“«„(¿¡]*[^\Wa-z_])",
    r"(?<=[。！？])[”』」）]*(?=[^\s。！？”』」）])",
    r"(?<=\S)(?=\s*\n\s*(?:[^\Wa-z_]|[-*•#]))",  # before a line that begins like a sentence or an item
)
_END = re.compile("|".join(_ENDS))


@functools.cache
def phrases(language: str) -> dict[str, Any]:
    """The stock phrases of a language, or of English if there are none.

    `next`: instructions that could follow a response. `negation`: rules, each a regular expression and what replaces
    it. `echo` and `frames` are filled with a prompt, an entity and a response.
    """
    name = language if language in LANGUAGES else "en"
    return tomllib.loads((resources.files(__package__) / "phrases" / f"{name}.toml").read_text(encoding="utf-8"))


@functools.cache
def stop_words(language: str) -> frozenset[str]:
    return frozenset(phrases(language)["stop_words"].split())


@functools.cache
def asking_words(language: str) -> frozenset[str]:
    """The words that questions and instructions are made of, whatever they are about."""
    return stop_words(language) | frozenset(phrases(language)["ask_words"].split())


def language_of(text: str) -> str:
    """The language of a text: one of LANGUAGES, the name of another script, or "" if it is not clear.

    Latin script: the language with the most stop words, at least two and more than any other.
    """
    letters = _WORD.findall(text[:2000].lower())
    if not letters:
        return ""
    ((script, _),) = Counter(unicodedata.name(c, "").split(" ")[0] for w in letters for c in w).most_common(1)
    if script != "LATIN":
        return "zh" if script == "CJK" and not re.search(r"[\u3040-\u30ff]", text) else script.lower()
    hits = {name: sum(word in stop_words(name) for word in letters) for name in LANGUAGES}
    (best, most), (_, second) = Counter(hits).most_common(2)
    return best if most >= 2 and most > second else ""


def sentence_ends(text: str) -> list[int]:
    """Where the sentences of a text end, in characters; the last one at the end of the text."""
    stripped = len(text.rstrip())
    return [*sorted({m.end() for m in _END.finditer(text) if 0 < m.end() < stripped}), stripped]


def sentences(text: str) -> list[str]:
    """The sentences of a text; joined, they are the text."""
    ends = sentence_ends(text)[:-1]
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True)]


def composed(language: str, parts: Sequence[str]) -> str:
    """Sentences joined as the language joins them."""
    return str(phrases(language)["joiner"]).join(parts)


def some(options: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """`count` different options in random order, or all if there are fewer."""
    return rng.sample(list(options), min(count, len(options)))
