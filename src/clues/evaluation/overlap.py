"""How much of a reference text an answer holds: token F1 and ROUGE-L, in any script."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import Any

from clues.errors import ConfigError

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
# Scripts written without spaces between words: each character is a token. Thai, Lao, Myanmar, Khmer; kana, Han.
_UNSPACED = re.compile(
    r"([\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
)


def token_f1(answer: str, reference: str) -> float:
    """F1 of the tokens that two texts share, 0 to 1, after SQuAD's normalisation (arXiv 1606.05250).

    Case, punctuation and English articles do not count; punctuation and case are those of Unicode.
    """
    found, wanted = (_words(_ARTICLES.sub(" ", _normalised(text, punctuation=""))) for text in (answer, reference))
    shared = (Counter(found) & Counter(wanted)).total()
    if not found or not wanted:
        return float(found == wanted)
    return 2 * shared / (len(found) + len(wanted))


def rouge_l(answer: str, reference: str) -> float:
    """F-measure of the longest common subsequence of tokens, 0 to 1 (ROUGE-L; Lin 2004, aclanthology.org/W04-1013).

    The package's own tokens are ASCII alone; here they are Unicode words, without stemming.

    Raises:
        ConfigError: the package rouge-score is not installed.
    """
    scorer = rouge_package().RougeScorer(["rougeL"], tokenizer=_Words())
    return float(scorer.score(reference, answer)["rougeL"].fmeasure)


def rouge_package() -> Any:
    """The module of rouge-score. Raises ConfigError with the remedy where it is missing."""
    try:
        from rouge_score import rouge_scorer
    except ImportError:
        raise ConfigError(
            "evaluation.generate: ROUGE-L needs the package rouge-score; install it by: pip install rouge-score"
        ) from None
    return rouge_scorer


class _Words:
    """The tokenizer that rouge-score asks for."""

    def tokenize(self, text: str) -> list[str]:
        return _words(_normalised(text, punctuation=" "))


def _normalised(text: str, punctuation: str) -> str:
    """Lower case, compatibility forms made one, and punctuation and symbols replaced."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return "".join(punctuation if unicodedata.category(c)[0] in "PS" else c for c in folded)


def _words(text: str) -> list[str]:
    return _UNSPACED.sub(r" \1 ", text).split()
