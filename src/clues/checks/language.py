"""A check of the language: whether the response is in another one than the prompt."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from clues.checks.pair import Pair

_READ = 200  # characters of each text; more add time and no certainty
_LETTERS = 20  # in shorter responses, names and terms are taken for languages
_CLEAR, _LIKELY, _RULED_OUT = 0.5, 0.3, 0.01  # probabilities: of a response's language, of a prompt's, of the other's
_NO_LANGUAGE = "la"  # names of diseases and species are Latin in any language
# Prompts that ask for another language, or name one.
_ASKED = re.compile(
    r"translat|traduc|traduis|traduz|tradu[zç]|übersetz|翻译|翻譯|翻訳|번역|перевод|перевед"
    r"|\b(?:english|french|german|spanish|italian|portuguese|chinese|mandarin|japanese|korean|russian|arabic|hindi"
    r"|englisch|französisch|deutsch|spanisch|anglais|français|allemand|espagnol|inglés|francés|alemán|español)\b"
    r"|英语|英文|中文|汉语|日语|日文|法语|德语|西班牙语|英語|日本語|中国語|フランス語|ドイツ語|スペイン語",
    re.IGNORECASE,
)


def another_language(pair: Pair) -> bool:
    """Whether prompt and response are each clearly in a language, and clearly not in the same one."""
    if not any(character.isalpha() for character in pair.prompt):
        return False
    if sum(character.isalpha() for character in pair.response[:_READ]) < _LETTERS / (1 + _wide(pair.response)):
        return False
    response = _languages(pair.response)
    prompt = _languages(pair.prompt)
    language, spoken = max(prompt, key=prompt.__getitem__), max(response, key=response.__getitem__)
    return (
        language != spoken != _NO_LANGUAGE
        and prompt[language] >= _LIKELY
        and response[spoken] >= _CLEAR
        and prompt[spoken] <= _RULED_OUT
        and response[language] <= _RULED_OUT
        and not _ASKED.search(pair.prompt)
    )


def _wide(text: str) -> bool:
    """Whether characters stand for syllables or words, so that fewer say as much."""
    return any("\u3040" <= character <= "\u9fff" or "\uac00" <= character <= "\ud7af" for character in text[:_READ])


def _languages(text: str) -> dict[str, float]:
    """The probability of each language, by its code."""
    return dict(_identifier().rank(text[:_READ]))


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
