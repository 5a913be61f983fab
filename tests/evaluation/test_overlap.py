from __future__ import annotations

import sys

import pytest

from clues.errors import ConfigError
from clues.evaluation.overlap import exact_match, rouge_l, token_f1


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("The heart, a muscle!", "heart muscle", 1.0),  # articles, case and punctuation do not count
        ("a bone", "the nerve", 0.0),
        ("red bond", "red red option", 2 * 1 / (2 + 3)),  # a token counts as often as both have it
        ("", "bone", 0.0),
        ("the", "", 1.0),  # nothing is left of either
        ("ÜBER das Herz", "über, das Herz.", 1.0),
        ("сердце и кость", "Сердце кость", 2 * 2 / (3 + 2)),
        ("心臓は筋肉", "心臓", 2 * 2 / (5 + 2)),  # without spaces every character is a token
        ("हृदय एक अंग", "हृदय अंग", 2 * 2 / (3 + 2)),  # combining signs belong to their word
        ("ｆｅｖｅｒ", "fever", 1.0),
    ],
)
def test_token_f1(answer, reference, expected):
    assert token_f1(answer, reference) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("The Eiffel Tower!", "eiffel tower", 1.0),
        ("nerve bone", "bone nerve", 0.0),  # order counts
        ("a bone nerve", "bone", 0.0),
        ("СЕРДЦЕ.", "сердце", 1.0),
        ("", "the", 1.0),
    ],
)
def test_exact_match(answer, reference, expected):
    assert exact_match(answer, reference) == expected


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("the bone is a nerve", "The bone is a nerve.", 1.0),
        ("nerve bone", "bone nerve", 0.5),  # order counts
        ("кость сердце нерв", "кость нерв", 2 * 1 * (2 / 3) / (1 + 2 / 3)),
        ("心臓の筋肉", "心臓筋肉", 2 * 1 * 0.8 / 1.8),
        ("", "bone", 0.0),
    ],
)
def test_rouge_l(answer, reference, expected):
    assert rouge_l(answer, reference) == pytest.approx(expected)


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "rouge_score", None)
    with pytest.raises(ConfigError, match="pip install rouge-score"):
        rouge_l("a", "b")
