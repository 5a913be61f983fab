"""Agreement of an answer with a reference text: exact match, token F1 and ROUGE-L, in any script."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from clues.data.words import normalised, split, words
from clues.errors import ConfigError

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def exact_match(answer: str, reference: str) -> float:
    """1 if two texts have the same tokens in the same order after SQuAD's normalisation, else 0."""
    return float(_tokens(answer) == _tokens(reference))


def token_f1(answer: str, reference: str) -> float:
    """F1 of the tokens that two texts share, 0 to 1, after SQuAD's normalisation."""
    given, wanted = _tokens(answer), _tokens(reference)
    shared = (Counter(given) & Counter(wanted)).total()
    if not given or not wanted:
        return float(given == wanted)
    return 2 * shared / (len(given) + len(wanted))


def _tokens(text: str) -> list[str]:
    """SQuAD's normalisation (arXiv 1606.05250): case, punctuation (both as in Unicode) and English articles removed."""
    return split(_ARTICLES.sub(" ", normalised(text, punctuation="")))


def rouge_l(answer: str, reference: str) -> float:
    """F-measure of the longest common subsequence of tokens, 0 to 1 (ROUGE-L; Lin 2004, aclanthology.org/W04-1013).

    Tokens are Unicode words, where the package's default is ASCII only, without stemming.

    Raises:
        ConfigError: the package rouge-score is not installed.
    """
    scorer = rouge_package().RougeScorer(["rougeL"], tokenizer=_Words())
    return float(scorer.score(reference, answer)["rougeL"].fmeasure)


def rouge_package() -> Any:
    """The module of rouge-score. Raises ConfigError if it is not installed."""
    try:
        from rouge_score import rouge_scorer
    except ImportError:
        raise ConfigError(
            "evaluation.generate: ROUGE-L needs the package rouge-score; install it by: pip install rouge-score"
        ) from None
    return rouge_scorer


class _Words:
    """A tokenizer for rouge-score."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)
