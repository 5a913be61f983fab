"""Checks of characters: garbled ones, none that say anything, and a text that stops within a sentence."""

from __future__ import annotations

import re
import unicodedata

from clues.checks.pair import Pair

# Marks after which a sentence goes on.
_OPEN = (",", ";", "(", "[", "–", "—", "，", "、", "；", "（", "「", "“")
# Words that end no sentence. Left out are those that do in some language or field: a (vitamin A), y (an unknown), die.
_FUNCTION_WORDS = (
    "the an of and or but from which is are was were by at as into than their its these if because "
    "der das den dem des ein eine einer eines und oder von mit für bei zur zum im als wenn dass durch "
    "le la les des du de et ou un une par pour avec dans sur que qui au aux est sont "
    "el los las del una por para con en como su sus se"
)
_CANNOT_END = frozenset(_FUNCTION_WORDS.split())
_FUNCTION_CHARACTERS = frozenset("和与及或把被")


def garbled(pair: Pair) -> bool:
    """Whether characters were decoded wrongly, by ftfy's heuristics, or replaced by U+FFFD."""
    text = pair.response
    if text.isascii():
        return False
    from ftfy.badness import is_bad

    return "\ufffd" in text or bool(is_bad(text))


def empty(pair: Pair) -> bool:
    """Whether no character is a letter, a digit or a symbol."""
    return not any(unicodedata.category(character)[0] in "LNS" for character in pair.response)


def breaks_off(pair: Pair) -> bool:
    """Whether the text stops after a mark or a word that cannot end a sentence. Most cuts do not show in this way."""
    text = pair.response.rstrip()
    if text.endswith(_OPEN) or text[-1:] in _FUNCTION_CHARACTERS:
        return len(pair.response_words) > 3
    last = re.search(r"(?<=\s)\w+$", text)
    return last is not None and last.group() in _CANNOT_END and len(pair.response_words) > 3
