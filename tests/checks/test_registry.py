"""Each check of a single sample: what it finds, and what resembles that and is right."""

from __future__ import annotations

from typing import get_args

import pytest

from clues.checks.pair import Pair
from clues.checks.registry import CHECKS, NAMES
from clues.data.samples import Sample
from clues.settings import CheckName

ASKED = "How is the inner ear involved in keeping one's balance?"
FOUND = [
    ("empty", ASKED, " \u200b… –"),
    ("mojibake", ASKED, "In MÃ©niÃ¨reâ€™s disease the canals swell."),
    ("mojibake", ASKED, "The canals sw\ufffdll."),
    ("unfinished", ASKED, "Its canals are filled with a fluid that follows the"),
    ("unfinished", ASKED, "Its canals are filled with a fluid,"),
    ("unfinished", "内耳怎样保持平衡？", "内耳里有三个充满液体的半规管，"),
    ("language", ASKED, "Die Bogengänge sind mit einer Flüssigkeit gefüllt, die sich bei jeder Drehung bewegt."),
    ("language", ASKED, "半规管里充满液体，头部转动时液体随之流动。"),
    ("language", "内耳怎样保持平衡？", "Its canals are filled with a fluid that moves when the head turns."),
    ("refusal", ASKED, "I’m sorry, but I cannot help you with this question."),
    ("refusal", ASKED, "As an AI language model, I don't give medical advice."),
    ("refusal", "Wie hält man das Gleichgewicht?", "Es tut mir leid, dazu kann ich nichts sagen, das darf ich nicht."),
    ("refusal", "Comment garde-t-on l'équilibre ?", "Je suis désolé, mais je ne peux pas répondre à cette question."),
    ("refusal", "¿Cómo se mantiene el equilibrio?", "Lo siento, no puedo ayudarte con eso."),
    ("refusal", "内耳怎样保持平衡？", "抱歉，我无法回答这个问题。"),
    ("template", ASKED, "By fluid in its canals.<|im_end|>"),
    ("template", ASKED, "By fluid in its canals.\n### Instruction:\nName a bone."),
    ("template", ASKED, "By fluid in its canals.\nHuman: Thanks!"),
    ("residue", ASKED, "<p>By fluid in its canals.</p>"),
    ("residue", ASKED, "By fluid&nbsp;in its canals."),
    ("residue", ASKED, "Skip to main content\nBy fluid in its canals.\nAll rights reserved"),
    (
        "loop",
        ASKED,
        "By fluid. It moves when the head turns. It moves when the head turns. It moves when the head turns.",
    ),
    ("loop", ASKED, "See the ear the inner ear of the ear. " * 3),
    ("loop", "内耳怎样保持平衡？", "液体流动液体流动液体流动"),
    ("echo", ASKED, "How is the inner ear involved in keeping one’s balance"),
    ("echo", ASKED, f"You would like to know: {ASKED} {ASKED}"),
]
RIGHT = [
    ("empty", ASKED, "π"),
    ("mojibake", ASKED, "In Ménière’s disease the canals swell – “hydrops”."),
    ("unfinished", ASKED, "by fluid in its canals"),
    ("unfinished", ASKED, "Vitamin A"),
    ("language", ASKED, "Otolithi, utriculus et sacculus; canales semicirculares, ampullae."),
    ("language", ASKED, "¡Olé!"),
    ("language", f"Answer in German. {ASKED}", "Die Bogengänge sind mit einer Flüssigkeit gefüllt, die sich bewegt."),
    ("refusal", ASKED, "The ear cannot help the eye, but it answers to movements of the head."),
    ("refusal", ASKED, "By fluid in its canals. " * 20 + "I'm sorry, but I cannot help you further."),
    ("template", f"{ASKED} End with <|im_end|>.", "By fluid in its canals.<|im_end|>"),
    ("template", "Write a dialogue of two persons.", "Human: Good morning.\nAssistant: Good morning."),
    ("residue", "Which HTML tag makes a paragraph?", "Put <p> before it."),
    ("residue", ASKED, "The site says “All rights reserved”; fluid in its canals, if a < b and b > c."),
    ("loop", ASKED, "By fluid. It moves when the head turns. It moves when the head turns."),
    ("loop", ASKED, "0 0 0 0 0 0 0 0 0 0 0 0"),
    ("loop", ASKED, "very, very, very large"),
    ("echo", ASKED, f"{ASKED} By fluid in its canals."),
    ("echo", "Balance is kept by fluid in the canals. By what is balance kept?", "By fluid in the canals"),
]


@pytest.mark.parametrize(("name", "prompt", "response"), FOUND)
def test_a_check_finds_what_it_looks_for_and_no_other_check_does(name, prompt, response):
    pair = Pair(prompt, response)
    assert [other for other, check in CHECKS.items() if check.find(pair)] == [name]


@pytest.mark.parametrize(("name", "prompt", "response"), RIGHT)
def test_a_check_leaves_what_is_right(name, prompt, response):
    assert not CHECKS[name].find(Pair(prompt, response))


def test_the_prompt_of_a_conversation_is_the_last_turn_of_the_user():
    turns = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    turns += [{"role": "user", "content": "three"}, {"role": "tool", "content": "four"}]
    assert Pair.of(Sample("a", turns, "five", "d", {}, "a place")) == Pair("three", "five")
    assert Pair.of(Sample("a", [{"role": "system", "content": "one"}], "five", "d", {}, "a place")).prompt == ""


def test_settings_know_every_check():
    assert get_args(CheckName) == NAMES
