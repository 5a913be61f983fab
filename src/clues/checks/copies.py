"""Near-copies: candidates by MinHash and banding (Leskovec et al., Mining of Massive Datasets, 3.4), verified exactly.

A sample is a set of shingles, the runs of three words in its prompt and in its response. Two samples are near-copies if
they share most shingles, most of those in the response, and most of the words that distinguish their prompts. The same
prompt with another answer is no near-copy, nor is the same answer to another prompt.

datasketch computes the MinHash. Its index keeps Python objects for each sample and band; here the index is columns, of
the samples that share a band with another one.
"""

from __future__ import annotations

import hashlib
import zlib
from array import array
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from clues.checks.pair import Pair
from clues.io.spool import Spool

Hashes = np.ndarray[Any, np.dtype[np.uint32]]
Rows = np.ndarray[Any, np.dtype[np.int64]]
Buckets = np.ndarray[Any, np.dtype[np.int32]]

_WORDS = 3  # of a shingle
_BANDS, _DEPTH = 20, 6  # a pair of Jaccard index 0.7 becomes a candidate with probability 0.92, of 0.8 with 0.998
_ALIKE, _ALIKE_PROMPTS = 0.7, 0.66  # the least Jaccard indices of near-copies: of shingles, and of the prompts' words
_COMMON, _FEW = 0.01, 20  # what more prompts have, as a share and as a number, does not distinguish them
_SLOTS = 2**20  # of the table that counts in how many prompts a word or a shingle is
_MOST = 200  # comparisons of a sample with those of a bucket
# Large odd numbers for multiplicative hashing, one for each place in a shingle or a band.
_FACTORS = np.random.default_rng(0).integers(2**63, 2**64, max(_WORDS, _DEPTH), dtype=np.uint64) | np.uint64(1)
_SALTS = _FACTORS[:2]  # of prompts, of responses


class _Sample(NamedTuple):
    """The distinct words and shingles of the prompt, and the distinct shingles of the response, as sorted hashes."""

    words: Hashes
    prompt: Hashes
    response: Hashes


class Copies:
    """Near-copies among private samples, and of public ones. Hashes are in a temporary file, no text is kept.

    `digest`: of the samples' words, in order. `buckets`: of the candidates, candidates × bands.
    """

    def __init__(self, private: Iterable[Pair], public: Iterable[Pair] = ()) -> None:
        self._samples = Spool()
        self._digests = array("Q")
        for pair in private:
            self._add(pair)
        self._private = len(self._samples)
        for pair in public:
            self._add(pair)
        self.digest = hashlib.sha256(self._digests.tobytes()).hexdigest()
        self._prompts = self._counted()
        del self._digests
        self._rows, self.buckets = self._candidates()

    def of_public(self) -> Rows:
        """A public sample that each private one is a near-copy of, by its number, or -1: samples."""
        index, found = _Index(self), np.full(self._private, -1)
        for row in np.flatnonzero(self._rows >= self._private).tolist():
            index.add(row)
        for row in np.flatnonzero(self._rows < self._private).tolist():
            like = index.find(row)
            if like >= 0:
                found[self._rows[row]] = self._rows[like] - self._private
        return found

    def among(self, scores: np.ndarray) -> Rows:
        """For each private sample, the row of a better-scored near-copy that is none itself, or -1: samples.

        Of equal scores, the first sample counts as the better one.
        """
        index, found = _Index(self), np.full(self._private, -1)
        private = np.flatnonzero(self._rows < self._private)
        order = np.argsort(-scores[self._rows[private]], kind="stable")
        for row in private[order].tolist():
            like = index.find(row)
            if like < 0:
                index.add(row)
            else:
                found[self._rows[row]] = self._rows[like]
        return found

    def alike(self, one: int, other: int) -> bool:
        """Whether two samples are near-copies, by their places among the candidates."""
        a, b = (self._distinctive(int(self._rows[row])) for row in (one, other))
        response = _shared(a.response, b.response)
        if _jaccard(response) < _ALIKE or _jaccard(_shared(a.words, b.words)) < _ALIKE_PROMPTS:
            return False
        prompt = _shared(a.prompt, b.prompt)
        return _jaccard((prompt[0] + response[0], prompt[1] + response[1])) >= _ALIKE

    def _add(self, pair: Pair) -> None:
        prompt, response = (
            _word_hashes(words or [text.strip()])
            for words, text in ((pair.prompt_words, pair.prompt), (pair.response_words, pair.response))
        )
        arrays = (np.unique(prompt).astype(np.uint32), *map(_shingles, (prompt, response), _SALTS))
        content = np.array([len(each) for each in arrays], dtype=np.uint32).tobytes()
        content += b"".join(each.tobytes() for each in arrays)
        self._samples.append(content)
        self._digests.append(int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()))

    def _sample(self, row: int) -> _Sample:
        values = np.frombuffer(self._samples[row], dtype=np.uint32)
        ends = np.cumsum(values[:3]) + 3
        return _Sample(values[3 : ends[0]], values[ends[0] : ends[1]], values[ends[1] : ends[2]])

    def _counted(self) -> Hashes:
        """In how many different samples each word and shingle of a prompt is, by its slot; equal samples count once."""
        counts = np.zeros(_SLOTS, dtype=np.uint32)
        _, first = np.unique(np.array(self._digests), return_index=True)
        for row in first.tolist():
            sample = self._sample(row)
            for hashes in (sample.words, sample.prompt):
                counts[hashes % _SLOTS] += 1
        self._most = max(_FEW, round(_COMMON * len(first)))
        return counts

    def _distinctive(self, row: int) -> _Sample:
        """A sample without what many prompts have in common, such as instructions."""
        sample = self._sample(row)
        words, prompt = (
            hashes[self._prompts[hashes % _SLOTS] <= self._most] for hashes in (sample.words, sample.prompt)
        )
        return _Sample(words, prompt, sample.response)

    def _candidates(self) -> tuple[Rows, Buckets]:
        """The samples that share a band with another one: their rows, and their buckets, candidates × bands.

        Candidates that share a band are in one bucket of it. A bucket is named by the number of candidates in those
        before it.
        """
        from datasketch import MinHash

        sketch = MinHash(num_perm=_BANDS * _DEPTH, seed=1, hashfunc=int)
        keys = np.empty((len(self._samples), _BANDS), dtype=np.uint32)
        for row in range(len(keys)):
            sample = self._distinctive(row)
            sketch.clear()
            sketch.update_batch([*sample.prompt.tolist(), *sample.response.tolist()])
            keys[row] = (sketch.hashvalues.reshape(_BANDS, _DEPTH) * _FACTORS[:_DEPTH]).sum(axis=1) >> np.uint64(32)
        shared = np.zeros(len(keys), dtype=bool)
        for band in keys.T:
            _, place, count = np.unique(band, return_inverse=True, return_counts=True)
            shared |= count[place] > 1
        rows = np.flatnonzero(shared)
        buckets = np.empty((len(rows), _BANDS), dtype=np.int32)
        for number, band in enumerate(keys[rows].T):
            _, place, count = np.unique(band, return_inverse=True, return_counts=True)
            buckets[:, number] = (np.cumsum(count) - count)[place]
        return rows, buckets


class _Index:
    """The samples that others are compared with.

    `_members`: of each bucket, from its place on, by band; `_sizes`: how many, at its place.
    """

    def __init__(self, copies: Copies) -> None:
        self._copies, self._bands = copies, np.arange(_BANDS)
        self._members, self._sizes = np.zeros_like(copies.buckets), np.zeros_like(copies.buckets)

    def add(self, row: int) -> None:
        places = self._copies.buckets[row]
        self._members[places + self._sizes[places, self._bands], self._bands] = row
        self._sizes[places, self._bands] += 1

    def find(self, row: int) -> int:
        """A sample of the index that is a near-copy, or -1."""
        places, compared = self._copies.buckets[row], set[int]()
        sizes = self._sizes[places, self._bands]
        for band in np.flatnonzero(sizes).tolist():
            for other in self._members[places[band] : places[band] + min(sizes[band], _MOST), band].tolist():
                if other not in compared and self._copies.alike(row, other):
                    return other
                compared.add(other)
        return -1


def _word_hashes(words: Sequence[str]) -> np.ndarray[Any, np.dtype[np.uint64]]:
    return np.array([zlib.crc32(word.encode("utf-8", "surrogatepass")) for word in words], dtype=np.uint64)


def _shingles(words: np.ndarray[Any, np.dtype[np.uint64]], salt: np.uint64) -> Hashes:
    """The distinct shingles of a text, of which a text of fewer words has one."""
    if len(words) < _WORDS:
        words = np.concatenate([words, np.zeros(_WORDS - len(words), dtype=np.uint64)])
    hashes = np.full(len(words) - _WORDS + 1, salt)
    for place in range(_WORDS):
        hashes += words[place : place + len(hashes)] * _FACTORS[place]
    hashes ^= hashes >> np.uint64(29)
    return np.unique((hashes * _FACTORS[0]) >> np.uint64(32)).astype(np.uint32)


def _shared(one: Hashes, other: Hashes) -> tuple[int, int]:
    """The sizes of intersection and union."""
    both = len(np.intersect1d(one, other, assume_unique=True))
    return both, len(one) + len(other) - both


def _jaccard(shared: tuple[int, int]) -> float:
    """Two empty sets are equal."""
    return shared[0] / shared[1] if shared[1] else 1.0
