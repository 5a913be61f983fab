from __future__ import annotations

import json

import pytest

from clues.errors import ConfigError, DataError
from clues.io.files import write_jsonl
from clues.lab.judged import at_shares
from clues.lab.partition import partition
from clues.settings import PartitionSettings, validated

SIZES = {"validation": 3, "anchors": 2, "tests": 0}


def judged(folder, good, low):
    qualities = ["good"] * good + ["low"] * low
    rows = [{"prompt": f"p{n}", "response": f"r{n}", "quality": q, "kind": f"k{n}"} for n, q in enumerate(qualities)]
    write_jsonl(folder / "all.jsonl", rows)
    return {"samples": str(folder / "all.jsonl"), "clients": ["a"], "judged": True, **SIZES}


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("chosen", "good", "low"),
    [
        ({"shares": [0.5]}, 7, 8),  # all that is left of the good ones
        ({"shares": [0.5], "per_client": 8}, 4, 4),
        ({"shares": [0.9]}, 4, 36),
        ({}, 7, 22),  # as in the file, 36 of 48
        ({"per_client": 12}, 3, 9),
    ],
)
def test_a_client_has_its_share_of_low_quality_and_the_public_files_have_none(tmp_path, chosen, good, low):
    partition(PartitionSettings(**judged(tmp_path, 12, 36), **chosen), tmp_path / "out")
    labels = lines(tmp_path / "out" / "a.labels.jsonl")
    assert [sum(label["quality"] == q for label in labels) for q in ("good", "low")] == [good, low]
    assert [len(lines(tmp_path / "out" / f"{part}.jsonl")) for part in ("validation", "anchors")] == [3, 2]
    public = [row for part in ("validation", "anchors") for row in lines(tmp_path / "out" / f"{part}.jsonl")]
    private = lines(tmp_path / "out" / "a.jsonl")
    number = {row["id"]: int(row["prompt"][1:]) for row in [*public, *private]}
    assert len(number) == len(public) + len(private)
    assert all(number[row["id"]] < 12 for row in public)
    assert all(set(row) == {"id", "domain", "prompt", "response"} for row in [*public, *private])
    assert [row["id"] for row in private] == [label["id"] for label in labels]
    truth = [("good" if number[label["id"]] < 12 else "low", f"k{number[label['id']]}") for label in labels]
    assert [(label["quality"], label["kind"]) for label in labels] == truth


def test_without_judged_the_fields_stay(tmp_path):
    settings = judged(tmp_path, 12, 4) | {"judged": False, "shares": [0.0]}
    partition(PartitionSettings(**settings), tmp_path / "out")
    assert all({"quality", "kind"} < set(row) for row in lines(tmp_path / "out" / "a.jsonl"))


def test_records_without_quality_are_listed(tmp_path):
    write_jsonl(tmp_path / "all.jsonl", [{"prompt": "p", "response": "r", "quality": q} for q in ("good", "", None)])
    settings = PartitionSettings(samples=str(tmp_path / "all.jsonl"), clients=["a"], judged=True)
    with pytest.raises(
        DataError, match=r"line 2: field 'quality' is neither good nor low.*\n.*line 3: field 'quality'"
    ):
        partition(settings, tmp_path / "out")


def test_settings_of_corruption_are_refused_together():
    values = {"samples": "x", "clients": ["a"], "judged": True, "kinds": ["cut"], "severity": 0.5, "dirichlet": 1.0}
    with pytest.raises(ConfigError) as error:
        validated(PartitionSettings, values)
    assert [line.partition(":")[0] for line in str(error.value).splitlines()] == ["dirichlet", "kinds", "severity"]


def test_a_client_that_cannot_have_its_share():
    records = [{"id": str(n)} for n in range(5)]
    with pytest.raises(DataError, match="client b: 5 good and 0 low-quality records are too few"):
        at_shares({"a": records, "b": records}, [0.0, 0.9], low=(), most=9)
