"""`clues corrupt` and `clues partition`: what they write, and what they refuse."""

from __future__ import annotations

import json


def test_corrupt_keeps_ids_and_writes_the_truth_beside(files):
    clean, mixed, labels = (
        [json.loads(line) for line in (files / name).read_text().splitlines()]
        for name in ("clean.jsonl", "mixed.jsonl", "mixed.labels.jsonl")
    )
    assert [row["id"] for row in clean] == [row["id"] for row in mixed] == [row["id"] for row in labels]
    changed = [one != other for one, other in zip(clean, mixed, strict=True)]
    assert changed == [label["quality"] == "low" for label in labels]


def test_partition_makes_what_a_run_needs(clues, write_samples, tmp_path):
    source, out = write_samples("clean.jsonl", 40), tmp_path / "data"
    options = ["--validation", 3, "--anchors", 2, "--tests", 4, "--per-client", 10]
    clues("partition", source, "--clients", 2, "--shares", "0.8,0.2", *options, "--out", out)
    for client, low in (("client-1", 8), ("client-2", 2)):
        labels = [json.loads(line) for line in (out / f"{client}.labels.jsonl").read_text().splitlines()]
        assert [label["quality"] for label in labels].count("low") == low
    assert len((out / "validation.jsonl").read_text().splitlines()) == 3
    for wrong, message in (
        (["--clients", 2, "--shares", "0.1,0.2,0.3"], "shares: give one number"),
        (["--clients", 2, "--kinds", "magic"], "--kinds magic: not known"),
        (["--clients", "x,y", "--by", "owner"], "field 'owner' is never x, y"),
        (["--clients", 2, "--domain", "field"], "line 1: has no field 'field'"),
        (["--clients", 30], "fewer than two records are left"),
    ):
        shown = clues("partition", source, *wrong, *options, "--out", tmp_path / "wrong", code=2).stderr
        assert message in shown
        assert not (tmp_path / "wrong").exists()
    source.write_text(source.read_text() + json.dumps({"id": "empty", "prompt": "what", "response": ""}) + "\n")
    more = ["--clients", 2, "--max-words", 5, *options, "--out", tmp_path / "wrong"]
    assert "line 41: field 'response' is empty" in clues("partition", source, *more, code=2).stderr
    assert "exists already" in clues("partition", source, "--clients", 2, "--out", out, code=2).stderr
