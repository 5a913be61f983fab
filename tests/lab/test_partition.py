from __future__ import annotations

import json
import random

import pytest

from clues.data.samples import read_samples
from clues.errors import DataError
from clues.lab.corruption import Corruption
from clues.lab.partition import (
    PUBLIC,
    Client,
    Partition,
    deal,
    dirichlet_shares,
    split_public,
    write_partition,
)

SIZES = {"validation": 3, "anchors": 2, "test": 4}


def records(count=20):
    return [
        {"id": str(n), "owner": "ab"[n % 2], "prompt": f"p{n}", "response": f"r{n} one two three four"}
        for n in range(count)
    ]


def test_public_parts_are_disjoint_and_nothing_is_lost():
    parts, private = split_public([records()], sizes=SIZES, rng=random.Random(1))
    assert {part: len(rows) for part, rows in parts.items()} == SIZES
    ids = [record["id"] for rows in (*parts.values(), private) for record in rows]
    assert sorted(ids, key=int) == [str(n) for n in range(20)]


def test_too_few_records_for_the_public_parts():
    with pytest.raises(DataError, match="9 records are too few for 9 public samples"):
        split_public([records(9)], sizes=SIZES, rng=random.Random(1))


def test_records_go_to_whom_they_belong_or_in_turn():
    by_owner = deal(records(), ["a", "b"], samples=5, by="owner")
    assert {name: [r["owner"] for r in rows] for name, rows in by_owner.items()} == {"a": ["a"] * 5, "b": ["b"] * 5}
    in_turn = deal(records(), ["x", "y", "z"], samples=100, by=None)
    assert [len(rows) for rows in in_turn.values()] == [7, 7, 6]
    with pytest.raises(DataError, match="client c: fewer than two records are left"):
        deal(records(), ["a", "c"], samples=5, by="owner")


def test_files_hold_the_share_of_low_quality_they_were_made_with(tmp_path):
    parts, private = split_public([records(40)], sizes=SIZES, rng=random.Random(1))
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


def test_dirichlet_shares_are_uneven_and_keep_their_mean():
    shares = dirichlet_shares(5, 0.5, beta=0.3, seed=1)
    assert sum(shares) / 5 == pytest.approx(0.5)
    assert all(0 <= share <= 1 for share in shares)
    assert max(shares) - min(shares) > 0.2
