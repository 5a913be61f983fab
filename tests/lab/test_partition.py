from __future__ import annotations

import json
import random

import pytest

from clues.data.samples import read_samples
from clues.errors import DataError
from clues.io.files import write_jsonl
from clues.lab.corruption import Corruption
from clues.lab.partition import (
    PUBLIC,
    Client,
    Partition,
    deal,
    dirichlet_shares,
    partition,
    split_public,
    write_partition,
)
from clues.settings import PartitionSettings

SIZES = {"validation": 3, "anchors": 2, "test": 4}


def records(count=20):
    return [
        {"id": str(n), "owner": "ab"[n % 2], "prompt": f"p{n}", "response": f"r{n} one two three four"}
        for n in range(count)
    ]


def test_public_parts_are_disjoint_and_nothing_is_lost():
    parts, private = split_public([("bones", records())], sizes=SIZES, rng=random.Random(1))
    assert {part: len(rows) for part, rows in parts.items()} == SIZES
    ids = [record["id"] for rows in (*parts.values(), private) for record in rows]
    assert sorted(ids, key=int) == [str(n) for n in range(20)]


def test_too_few_records_for_the_public_parts():
    domains = [("bones", records(9)), ("bonds", records(10)), ("hearts", [])]
    with pytest.raises(DataError) as error:
        split_public(domains, sizes=SIZES | {"test": 0, "anchors": 6}, rng=random.Random(1))
    assert [line.partition(";")[0] for line in str(error.value).splitlines()] == [
        f"domain {name}: {count} good records are too few for 9 public samples (validation, anchors)"
        for name, count in (("bones", 9), ("hearts", 0))
    ]


def test_records_go_to_whom_they_belong_or_in_turn():
    by_owner = deal(records(), ["a", "b"], samples=5, by="owner")
    assert {name: [r["owner"] for r in rows] for name, rows in by_owner.items()} == {"a": ["a"] * 5, "b": ["b"] * 5}
    in_turn = deal(records(), ["x", "y", "z"], samples=100, by=None)
    assert [len(rows) for rows in in_turn.values()] == [7, 7, 6]
    with pytest.raises(DataError, match="client c: fewer than two records are left"):
        deal(records(), ["a", "c"], samples=5, by="owner")


def test_files_hold_the_share_of_low_quality_they_were_made_with(tmp_path):
    parts, private = split_public([("bones", records(40))], sizes=SIZES, rng=random.Random(1))
    owned = deal(private, ["a", "b"], samples=10, by="owner")
    clients = {"a": Client(owned["a"], 0.8), "b": Client(owned["b"], 0.0)}
    write_partition(tmp_path, Partition(clients, parts, Corruption(["cut"])), seed=1)
    low = {}
    for name in ("a", "b"):
        labels = [json.loads(line) for line in (tmp_path / f"{name}.labels.jsonl").read_text().splitlines()]
        low[name] = sum(label["quality"] == "low" for label in labels)
        assert [s.id for s in read_samples(tmp_path / f"{name}.jsonl")] == [label["id"] for label in labels]
    assert low == {"a": 8, "b": 0}
    assert [len(read_samples(tmp_path / f"{part}.jsonl")) for part in PUBLIC] == list(SIZES.values())


def test_an_empty_public_part_has_no_file(tmp_path):
    client = Client(records(4), 0.5)
    write_partition(tmp_path, Partition({"a": client}, {"test": []}, Corruption(["cut"])), seed=1)
    assert not (tmp_path / "test.jsonl").exists()


def test_a_domain_is_a_file_of_a_pattern_and_long_responses_are_omitted(tmp_path):
    for name, word in (("en", "word "), ("zh", "骨头")):
        rows = [{"prompt": f"p{n}", "response": word * n} for n in range(1, 9)]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    sizes = {"per_client": 9, "validation": 1, "anchors": 1, "tests": 0, "max_words": 6}
    named = {"samples": str(tmp_path / "*.jsonl"), "clients": ["en", "zh"], "by": "domain", "shares": [0.0]}
    partition(PartitionSettings(**named, **sizes), tmp_path / "out")
    assert [len(read_samples(tmp_path / "out" / f"{name}.jsonl")) for name in named["clients"]] == [4, 3]
    assert [s.domain for s in read_samples(tmp_path / "out" / "anchors.jsonl")] == named["clients"]


def test_dirichlet_shares_are_uneven_and_keep_their_mean():
    shares = dirichlet_shares(5, 0.5, beta=0.3, seed=1)
    assert sum(shares) / 5 == pytest.approx(0.5)
    assert all(0 <= share <= 1 for share in shares)
    assert max(shares) - min(shares) > 0.2
