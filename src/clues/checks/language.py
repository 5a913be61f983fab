"""A check of the language: whether the response is in another one than the prompt."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from clues.checks.pair import Pair

_READ = 200  # characters of each text; more add time and no certainty
_LETTERS = 20  # in shorter responses, names and terms are taken for languages
_WIDE = re.compile(r"[\u3040-\u9fff\uac00-\ud7af]")  # characters for syllables or words: half as many are enough
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
    texts = pair.prompt[:_READ], pair.response[:_READ]
    letters = sum(map(str.isalpha, texts[1])) * (2 if _WIDE.search(texts[1]) else 1)
    if letters < _LETTERS or not any(map(str.isalpha, texts[0])):
        return False
    spoken, clear = _identifier().classify(texts[1])
    if spoken == _NO_LANGUAGE or clear < _CLEAR:
        return False
    asked, likely = _identifier().classify(texts[0])
    if asked == spoken or likely < _LIKELY or _ASKED.search(pair.prompt):
        return False
    prompt, response = (dict(_identifier().rank(text)) for text in texts)
    return prompt[spoken] <= _RULED_OUT and response[asked] <= _RULED_OUT


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
