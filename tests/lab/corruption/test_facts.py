from __future__ import annotations

import random
import re

import pytest

from clues.lab.corruption.context import Context
from clues.lab.corruption.facts import negation, wrong_entity, wrong_number
from multilingual import sample

NEGATIONS = [
    ("What is it?", "It is the end.", "It is not the end."),
    ("What is it?", "This cannot be the end.", "This can be the end."),
    ("What does it do?", "It doesn't work for the others.", "It does work for the others."),
    ("What does it do?", "This prevents the loss of it.", "This does not prevent the loss of it."),
    ("Was ist das?", "Das ist ein Haus.", "Das ist kein Haus."),
    ("Was ist das?", "Kein Haus wird mit der Zeit alt.", "Ein Haus wird mit der Zeit alt."),
    ("Qu'est-ce que c'est ?", "C'est une maison pour les autres.", "Ce n'est pas une maison pour les autres."),
    ("Qu'est-ce que c'est ?", "Il n'a pas de maison pour elle.", "Il a des maison pour elle."),
    ("¿Qué es esto?", "Es una casa para el otro.", "No es una casa para el otro."),
    ("¿Qué es esto?", "La casa no tiene puerta.", "La casa tiene puerta."),
    ("这是什么？", "这是一本书。", "这不是一本书。"),
    ("这是什么？", "它没有颜色。", "它有颜色。"),
]


@pytest.mark.parametrize(("prompt", "response", "negated"), NEGATIONS)
def test_a_statement_is_negated_and_a_negation_removed(prompt, response, negated):
    item = sample("a", prompt, response)
    assert negation(item, Context([item]), random.Random(1)) == negated


@pytest.mark.parametrize(("severity", "changed"), [(0.1, 1), (0.5, 2), (1.0, 4)])
def test_severity_is_the_share_of_numbers_and_statements_changed(severity, changed):
    item = sample("a", "p", "It is 10,5 and 1987. That is 30. This was 4. Here are all.")
    context = Context([item], severity)
    numbers = re.findall(r"[\d,]+", item.response)
    for seed in range(20):
        made = wrong_number(item, context, random.Random(seed))
        assert sum(a != b for a, b in zip(numbers, re.findall(r"[\d,]+", made), strict=True)) == changed
        assert negation(item, context, random.Random(seed)).count(" not") == changed


def test_the_answer_of_another_sample_gets_the_name_in_this_prompt():
    gout, asthma = (
        sample("a", "What is gout?", "Gout hurts."),
        sample("b", "What is asthma?", "Those with asthma cough."),
    )
    context = Context([gout, asthma])
    assert wrong_entity(gout, context, random.Random(1)) == "Those with gout cough."
    assert wrong_entity(asthma, context, random.Random(1)) == "Asthma hurts."


def test_an_answer_that_names_nothing_gets_the_name_in_front():
    items = [sample("a", "What is gout?", "It hurts."), sample("b", "What is asthma?", "It makes you cough.")]
    made = wrong_entity(items[0], Context(items), random.Random(1))
    assert "gout" in made
    assert made.endswith("It makes you cough.")
