from __future__ import annotations

import random

import pytest

from clues.lab.corruption.artefacts import loop, mojibake, natural_end, residue, template
from clues.lab.corruption.context import Context
from multilingual import multilingual, sample

SEEDS = range(30)


@pytest.mark.parametrize("item", multilingual(), ids=lambda item: item.id)
def test_artefacts_surround_or_follow_the_response(item):
    context = Context(multilingual())
    for seed in SEEDS:
        assert template(item, context, random.Random(seed)).startswith(item.response)
    plain = [made for seed in SEEDS if item.response in (made := residue(item, context, random.Random(seed)))]
    assert 0 < len(plain) < len(SEEDS)  # others are marked up


@pytest.mark.parametrize("item", multilingual(), ids=lambda item: item.id)
def test_a_loop_ends_with_one_phrase_four_times_or_more(item):
    for seed in SEEDS:
        made = "".join(loop(item, Context([item]), random.Random(seed)).split())
        assert any(made.endswith(made[-size:] * 4) for size in range(1, len(made) // 4 + 1))


def test_mojibake_is_utf8_read_as_something_else():
    item = sample("a", "p", "Fièvre élevée")
    made = {mojibake(item, Context([item]), random.Random(seed)) for seed in SEEDS}
    assert {"FiÃ¨vre Ã©levÃ©e", "Fi√®vre √©lev√©e", "FiÃƒÂ¨vre ÃƒÂ©levÃƒÂ©e"} <= made
    ascii_only = sample("a", "p", "It's a fever")
    assert not any(mojibake(ascii_only, Context([ascii_only]), random.Random(seed)).isascii() for seed in SEEDS)


@pytest.mark.parametrize(("severity", "kept"), [(0.1, "It is. So. No."), (0.5, "It is. So."), (1.0, "It is.")])
def test_severity_is_the_share_of_sentences_lost(severity, kept):
    item = sample("a", "p", "It is. So. No. Yes.")
    assert natural_end(item, Context([item], severity), random.Random(1)) == kept
