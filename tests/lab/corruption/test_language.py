from __future__ import annotations

import pytest

from clues.lab.corruption.language import LANGUAGES, language_of, phrases, sentences
from multilingual import TEXTS


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_are_told_by_script_and_stop_words(language):
    assert {language_of(" ".join(pair)) for pair in TEXTS[language]} == {language}
    assert language_of(" ".join(phrases(language)["stock"])) == language


def test_what_is_not_clear_has_no_language():
    assert [language_of(text) for text in ("", "42", "Ibuprofen 400", "la de", "Что это?", "これは何ですか")] == [
        "",
        "",
        "",
        "",
        "cyrillic",
        "hiragana",
    ]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_the_same_phrases(language):
    english = phrases("en")
    assert phrases(language).keys() == english.keys()
    for name in ("refusal", "evasive", "residue", "negation"):
        assert phrases(language)[name].keys() == english[name].keys()


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (
            'One. Two (Dr. J. Smith, e.g. this). "Three!" 4 is one.',
            ["One.", "Two (Dr. J. Smith, e.g. this).", '"Three!"', "4 is one."],
        ),
        ("¿Qué? ¡No!", ["¿Qué?", "¡No!"]),
        ("第一。他说：“好。”第三？？", ["第一。", "他说：“好。”", "第三？？"]),
        ("Steps\n- boil\n- cool\nand wait", ["Steps", "- boil", "- cool\nand wait"]),
    ],
)
def test_sentences_are_all_of_the_text(text, parts):
    assert "".join(sentences(text)) == text
    assert [sentence.strip() for sentence in sentences(text)] == parts
