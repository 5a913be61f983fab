"""The clean sample that shares most words with a private one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from clues.data.sample import Sample
from clues.data.words import words

_BATCH = 4096  # private samples that are compared at once


def nearest(samples: Iterable[tuple[str, str]], clean: Sequence[Sample]) -> list[tuple[int, float]]:
    """For each sample, the number of the clean one whose words are most like its own, and the likeness; -1 for none.

    The likeness is the cosine of word counts of prompt and response, weighted by how few clean samples have a word
    (TF-IDF): from 0 for no word in common to 1.

    Args:
        samples: prompts and responses.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectors, rest, found = TfidfVectorizer(analyzer=words), iter(samples), list[tuple[int, float]]()
    try:
        known = vectors.fit_transform([f"{_prompt(sample)} {sample.response}" for sample in clean]).T.tocsr()
    except ValueError:  # no clean sample has a word
        return [(-1, 0.0) for _ in rest]
    while batch := list(islice(rest, _BATCH)):
        likeness = vectors.transform([f"{prompt} {response}" for prompt, response in batch]) @ known
        best = likeness.argmax(axis=1).A1
        highest = likeness.max(axis=1).toarray()[:, 0]
        found += [(int(n), float(s)) if s > 0 else (-1, 0.0) for n, s in zip(best, highest, strict=True)]
    return found


def _prompt(sample: Sample) -> str:
    return str(sample.context[-1]["content"])
