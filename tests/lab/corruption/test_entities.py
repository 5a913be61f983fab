from __future__ import annotations

import pytest

from clues.lab.corruption.entities import Names, renamed
from multilingual import TEXTS

NAMES = Names([prompt for pairs in TEXTS.values() for prompt, _ in pairs])


@pytest.mark.parametrize(
    ("language", "names"),
    [
        ("en", ["ptosis", "penicillin", "egg"]),
        ("de", ["Fieber", "Zugspitze", "Faust"]),
        ("fr", ["asthme", "Portugal", "moteur diesel"]),
        ("es", ["anemia", "Madrid", "Guernica"]),
        ("zh", ["高血压", "长城", "光合作用"]),
    ],
)
def test_the_name_in_a_prompt(language, names):
    assert [NAMES.of(prompt, response, language) for prompt, response in TEXTS[language]] == names


def test_a_shared_name_is_one_that_the_response_contains():
    prompt = 'Which group does "congenital absence of the artery" belong to?'
    assert NAMES.shared(prompt, "To malformations of an artery.", "en") == "artery"
    assert NAMES.shared(prompt, "To another.", "en") == ""


def test_a_new_name_has_a_capital_at_the_start_of_a_sentence_only():
    assert renamed("Gout hurts. Treat gout. Gouty.", "gout", "asthma") == "Asthma hurts. Treat asthma. Gouty."
