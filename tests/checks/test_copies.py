"""Near-copies are pairs alike in prompt and response, in any script and of any length."""

from __future__ import annotations

import random

import numpy as np
import pytest

from clues.checks.copies import Copies
from clues.checks.pair import Pair

WORDS = [f"{a}{b}" for a in ("bone", "rate", "price", "bond", "trade") for b in "abcdefghij"]
CHARACTERS = [chr(code) for code in range(0x4E00, 0x4E80)]


def pairs(count: int, *, words: list[str] = WORDS, seed: int = 0, gap: str = " ") -> list[Pair]:
    rng = random.Random(seed)
    return [Pair(gap.join(rng.choices(words, k=8)), gap.join(rng.choices(words, k=40))) for _ in range(count)]


def among(samples: list[Pair], scores: list[float] | None = None) -> list[int]:
    given = np.zeros(len(samples)) if scores is None else np.array(scores)
    return Copies(samples).among(given).tolist()


def test_independent_samples_are_no_copies():
    assert among([*pairs(100), *pairs(100, words=CHARACTERS, gap="")]) == [-1] * 200


@pytest.mark.parametrize(
    "edited",
    [
        lambda p: p,
        lambda p: Pair(p.prompt.upper() + "?", f"  {p.response.title()}."),
        lambda p: Pair(p.prompt, p.response + " I hope that this helps."),
        lambda p: Pair(p.prompt, p.response.replace(p.response_words[20], "other", 1)),
        lambda p: Pair("Please answer. " + p.prompt, p.response),
    ],
)
def test_an_edited_copy_is_found_with_its_original(edited):
    samples = pairs(30)
    assert among([*samples, *map(edited, samples)]) == [-1] * 30 + list(range(30))


def test_of_copies_the_best_scored_one_stays_and_among_equals_the_first():
    sample, other = pairs(2)
    copy = Pair(sample.prompt, sample.response + " indeed")
    assert among([sample, other, copy, sample], [1.0, 9.0, 2.0, 1.0]) == [2, -1, -1, 2]
    assert among([sample, other, copy, sample]) == [-1, -1, 0, 0]


def test_a_copy_names_a_sample_that_it_is_alike_not_a_chain_of_them():
    """Each of these is a near-copy of its neighbours alone."""
    words = [f"w{number}" for number in range(100)]
    chain = [Pair("which words", " ".join(words[start : start + 60])) for start in range(0, 31, 10)]
    assert among(chain) == [-1, 0, -1, 2]


def test_a_prompt_with_another_answer_and_an_answer_to_another_prompt_are_no_copies():
    (one, two), long = pairs(2), " ".join(f"w{number}" for number in range(100))
    assert among([Pair(long, "yes it does"), Pair(long, "no it does not"), Pair(long, one.response)]) == [-1] * 3
    assert among([Pair(one.prompt, long), Pair(two.prompt, long)]) == [-1, -1]


def test_short_and_wordless_texts_are_compared_whole():
    assert among(
        [Pair("Is it?", "Yes."), Pair("is it", "yes"), Pair("Is it?", "No."), Pair("?", "🙂"), Pair("?", "🙁")]
    ) == [
        -1,
        0,
        -1,
        -1,
        -1,
    ]


def test_instructions_that_many_prompts_have_in_common_do_not_make_copies():
    asked = " ".join(f"instruction{number}" for number in range(80)) + " "
    samples = [Pair(asked + pair.prompt, "positive") for pair in pairs(100)]
    assert among([*samples, samples[7]]) == [-1] * 100 + [7]


def test_copies_of_public_samples_name_them():
    private, public = pairs(10), pairs(10, seed=1)
    private[3] = Pair(public[8].prompt, public[8].response + " indeed")
    copies = Copies(private, public)
    assert copies.of_public().tolist() == [-1] * 3 + [8] + [-1] * 6
    assert copies.among(np.zeros(10)).tolist() == [-1] * 10


def test_the_digest_is_of_texts_and_order():
    one, two = pairs(2)
    digests = {Copies(each).digest for each in ([one, two], [two, one], [one], [one, Pair(two.prompt, "other")])}
    assert len(digests) == 4
    assert Copies(pairs(2)).digest == Copies([one, two]).digest
