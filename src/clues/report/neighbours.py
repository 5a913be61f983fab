"""The clean sample that shares most words with a private one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

from clues.data.sample import Sample
from clues.data.words import words


class Neighbours:
    """Finds the clean sample whose words are most like those of a private one.

    The likeness is the cosine of word counts of prompt and response, weighted by how few clean samples have a word
    (TF-IDF): from 0 for no word in common to 1.
    """

    def __init__(self, clean: Sequence[Sample]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectors, self._known = TfidfVectorizer(analyzer=words), None
        with contextlib.suppress(ValueError):  # no clean sample has a word
            texts = [f"{_prompt(sample)} {sample.response}" for sample in clean]
            self._known = self._vectors.fit_transform(texts).T.tocsr()

    def __call__(self, samples: Iterable[tuple[str, str]]) -> list[tuple[int, float]]:
        """For each prompt and response, the number of the clean sample and the likeness; -1 for none."""
        texts = [f"{prompt} {response}" for prompt, response in samples]
        if self._known is None or not texts:
            return [(-1, 0.0)] * len(texts)
        likeness = self._vectors.transform(texts) @ self._known
        best, highest = likeness.argmax(axis=1).A1, likeness.max(axis=1).toarray()[:, 0]
        return [(int(n), float(s)) if s > 0 else (-1, 0.0) for n, s in zip(best, highest, strict=True)]


def _prompt(sample: Sample) -> str:
    return str(sample.context[-1]["content"])
