from __future__ import annotations

import json
import random

import pytest

from clues.data.samples import Sample
from clues.errors import ConfigError, DataError
from clues.lab.corruption import KINDS, NATURAL, Corruption, corrupt
from clues.lab.corruption.context import Context
from multilingual import TEXTS, multilingual, sample


def samples(count=20) -> list[Sample]:
    rows = []
    for n in range(count):
        answer = f"answer{n}"
        record = {"id": str(n), "prompt": f"p{n}", "response": f"{answer} is one. Two three four five six seven"}
        record |= {"answer": answer, "choices": [answer, "wrong"]}
        rows.append(
            Sample(str(n), [{"role": "user", "content": record["prompt"]}], record["response"], "d", record, "f")
        )
    return rows


def plain(*responses: str) -> list[Sample]:
    return [sample(str(n), f"p{n}", response) for n, response in enumerate(responses)]


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_its_share_of_responses_and_nothing_else(kind):
    clean = samples()
    records, labels = corrupt(clean, Corruption([kind]), share=0.5, seed=1)
    for before, record, label in zip(clean, records, labels, strict=True):
        assert record["id"] == before.id
        assert record["prompt"] == before.record["prompt"] or label["kind"] == "duplicate"
        assert (record["response"] != before.response) == (label["quality"] == "low")
        assert label["kind"] == (kind if label["quality"] == "low" else "")
    assert sum(label["quality"] == "low" for label in labels) == 10


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"wrong-choice"}))
def test_each_kind_corrupts_in_each_language(kind):
    clean = multilingual()
    context = Context(clean, low=frozenset(item.id for item in clean if item.id.endswith("0")))
    changed = set()
    for item in clean:
        made, again = (KINDS[kind].corrupt(item, context, random.Random(item.id)) for _ in range(2))
        assert made == again
        if made is not None:
            response = made if isinstance(made, str) else made["response"]
            assert response.strip()
            assert response != item.response
            changed.add(item.id[:2])
    assert changed == set(TEXTS)


@pytest.mark.parametrize("severity", [0.1, 0.5, 1.0])
def test_natural_stands_for_all_natural_kinds(severity):
    corruption = Corruption(["natural"], severity)
    results = [corrupt(multilingual(), corruption, share=1, seed=seed) for seed in (1, 1, 2)]
    assert json.dumps(results[0]) == json.dumps(results[1]) != json.dumps(results[2])
    for records, labels in results:
        assert {label["kind"] for label in labels} <= set(NATURAL)
        for before, record in zip(multilingual(), records, strict=True):
            assert record["id"] == before.id
            assert record["response"].split() not in ([], before.response.split())


def test_published_experiments_keep_their_bytes():
    clean = plain(
        "The heart pumps blood through the body.",
        "A bone is a hard organ of the skeleton.",
        "Nerves carry signals to the brain.",
        "A bond pays interest every year.",
        "An option is a right to buy or sell.",
        "Prices rise and fall again.",
    )
    records, labels = corrupt(clean, Corruption(["exchange", "cut", "delete", "noise", "foreign"]), share=1, seed=3)
    assert [(label["kind"], record["response"]) for record, label in zip(records, labels, strict=True)] == [
        ("exchange", "A bone is a hard organ of the skeleton."),
        ("exchange", "The heart pumps blood through the body."),
        ("foreign", "algo carry signals während parce brain."),
        ("noise", "A kwgd pays ykaueybu vhpxk year."),
        ("cut", "An option is a"),
        ("delete", "fall again."),
    ]


def test_kinds_share_equally_and_the_seed_decides():
    corruption = Corruption(["cut", "delete", "exchange"])
    first, second, other = (corrupt(samples(), corruption, share=0.6, seed=seed) for seed in (1, 1, 2))
    assert json.dumps(first) == json.dumps(second) != json.dumps(other)
    counts = [sum(label["kind"] == kind for label in first[1]) for kind in ("cut", "delete", "exchange")]
    assert counts == [4, 4, 4]


def test_severity_is_the_share_of_words_lost():
    records, _ = corrupt(samples(4), Corruption(["cut"], severity=0.75), share=1.0, seed=1)
    assert [len(record["response"].split()) for record in records] == [2, 2, 2, 2]


def test_a_kind_that_does_not_apply_gives_way_to_the_next_and_the_label_names_that():
    clean = plain("No figure", "Nor here", "It weighs 5 g")
    _, labels = corrupt(clean, Corruption(["natural-end", "wrong-number", "cut"]), share=1, seed=1)
    assert [label["kind"] for label in labels] == ["cut", "cut", "wrong-number"]


def test_all_wrong_arguments_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        corrupt(samples(), Corruption(["nonsense"], severity=0), share=2.0, seed=1)
    assert len(str(caught.value).splitlines()) == 3


def test_all_samples_to_which_no_kind_applies_are_told_at_once():
    with pytest.raises(DataError) as caught:
        corrupt(plain("r", "s"), Corruption(["wrong-choice", "natural-end"]), share=1.0, seed=1)
    first, second = str(caught.value).splitlines()
    assert first.startswith("f, 0: wrong-choice needs the fields 'choices'")
    assert second.endswith("natural-end needs a response of two sentences; use another kind.")
