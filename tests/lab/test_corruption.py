from __future__ import annotations

import json

import pytest

from clues.data.samples import Sample
from clues.errors import ConfigError, DataError
from clues.lab.corruption import KINDS, Corruption, corrupt


def samples(count=20) -> list[Sample]:
    rows = []
    for n in range(count):
        answer = f"answer{n}"
        record = {"id": str(n), "prompt": f"p{n}", "response": f"{answer} one two three four five six seven"}
        record |= {"answer": answer, "choices": [answer, "wrong"]}
        rows.append(
            Sample(str(n), [{"role": "user", "content": record["prompt"]}], record["response"], "d", record, "f")
        )
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_changes_its_share_of_responses_and_nothing_else(kind):
    clean = samples()
    records, labels = corrupt(clean, Corruption([kind]), share=0.5, seed=1)
    for sample, record, label in zip(clean, records, labels, strict=True):
        assert (record["id"], record["prompt"]) == (sample.id, sample.record["prompt"])
        assert (record["response"] != sample.response) == (label["quality"] == "low")
        assert label["kind"] == (kind if label["quality"] == "low" else "")
    assert sum(label["quality"] == "low" for label in labels) == 10


def test_kinds_share_equally_and_the_seed_decides():
    corruption = Corruption(["cut", "delete", "exchange"])
    first, second, other = (corrupt(samples(), corruption, share=0.6, seed=seed) for seed in (1, 1, 2))
    assert json.dumps(first) == json.dumps(second) != json.dumps(other)
    counts = [sum(label["kind"] == kind for label in first[1]) for kind in ("cut", "delete", "exchange")]
    assert counts == [4, 4, 4]


def test_severity_is_the_share_of_words_lost():
    records, _ = corrupt(samples(4), Corruption(["cut"], severity=0.75), share=1.0, seed=1)
    assert [len(record["response"].split()) for record in records] == [2, 2, 2, 2]


def test_all_wrong_arguments_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        corrupt(samples(), Corruption(["nonsense"], severity=0), share=2.0, seed=1)
    assert len(str(caught.value).splitlines()) == 3


def test_wrong_choice_needs_choices():
    plain = [Sample("1", [], "r", "d", {"prompt": "p", "response": "r"}, "f, line 1")]
    with pytest.raises(DataError, match="f, line 1: wrong-choice needs the fields"):
        corrupt(plain, Corruption(["wrong-choice"]), share=1.0, seed=1)
