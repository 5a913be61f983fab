"""The demo's definitions, out of the real packages."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from clues.data.samples import overlap, read_samples
from clues.lab.definitions import Definition, clinical, distinct, financial
from clues.lab.demo import CLIENTS, write_demo_data


def test_near_copies_and_texts_of_odd_length_are_dropped():
    text = "one two three four five six seven eight nine ten"
    texts = [text, text + " eleven", "too short", "another sentence with quite enough words to be kept here"]
    kept = distinct(Definition(str(n), "t", each, "s") for n, each in enumerate(texts))
    assert [d.id for d in kept] == ["0", "3"]


@pytest.mark.real_model
def test_both_fields_are_large_enough_and_have_two_silos_each():
    for definitions, names in ((clinical(), ("neurology", "orthopedics")), (financial(), ("products", "operations"))):
        counts = Counter(d.silo for d in definitions)
        assert set(counts) == set(names)
        assert all(count > 100 for count in counts.values())
        assert len({d.id for d in definitions}) == len(definitions)


@pytest.mark.real_model
def test_demo_files_share_nothing_and_repeat_by_their_seed(tmp_path):
    for name in ("a", "b"):
        write_demo_data(tmp_path / name, samples=20, seed=1)
    files = sorted(p.name for p in (tmp_path / "a").glob("*.jsonl"))
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    public = [read_samples(tmp_path / "a" / f"{part}.jsonl") for part in ("validation", "anchors", "test")]
    assert not overlap(public[0], public[1] + public[2])
    assert not overlap(public[1], public[2])
    for name, (_, share) in CLIENTS.items():
        samples = read_samples(tmp_path / "a" / f"{name}.jsonl")
        assert not {s.id for s in samples} & {s.id for part in public for s in part}
        labels = [json.loads(line) for line in (tmp_path / "a" / f"{name}.labels.jsonl").read_text().splitlines()]
        assert sum(label["quality"] == "low" for label in labels) == round(share * 20)
