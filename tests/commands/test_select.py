"""`clues select` after `clues score`: what is kept, by scores, checks and reviewed samples."""

from __future__ import annotations

import json
import re

import pyarrow.parquet

from commands.made import score


def test_score_then_select(clues, tiny_model, files):
    out = files / "run"
    score(clues, tiny_model, files, out)
    table = pyarrow.parquet.read_table(out / "scores.parquet").to_pydict()
    assert {"id", "score", "val"} <= set(table)
    assert len(list((out / "trajectory").glob("checkpoint-*"))) == 2
    clues("select", out, "--labels", files / "mixed.labels.jsonl", "--threshold", "anchor-mean")
    kept, dropped = (
        [json.loads(line) for line in (out / name).read_text().splitlines()] for name in ("kept.jsonl", "dropped.jsonl")
    )
    found = json.loads((out / "selection.json").read_text())
    assert (found["kept"], found["dropped"], found["rule"]) == (len(kept), len(dropped), "anchor-mean")
    assert {"threshold", "precision", "recall", "f1", "accuracy", "auroc"} <= set(found)
    originals = {row["id"]: row for row in map(json.loads, (files / "mixed.jsonl").read_text().splitlines())}
    for row in kept + dropped:
        extra = row.pop("clues")
        assert row == originals.pop(row["id"])
        assert (extra["score"] >= found["threshold"]) == extra["reason"].startswith("score ≥")
    assert not originals
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert str(out / "report.html") in clues("report", out).stdout
    assert (out / "report.html").read_bytes() == page
    assert "holds neither metrics.json nor selection.json" in clues("report", files, code=2).stderr


def test_findings_are_counted_and_drop_where_asked(clues, tiny_model, files, write_samples):
    rows = [json.loads(line) for line in write_samples("mixed.jsonl", 6).read_text().splitlines()]
    rows[2] |= {"response": "I'm sorry, but I can't help with that."}
    rows[4] |= {field: rows[1][field] for field in ("prompt", "response")}
    (files / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (files / "tests.jsonl").write_text(json.dumps({**rows[3], "id": "test-1"}) + "\n")
    shown = score(clues, tiny_model, files, files / "run", "--method", "random", "--tests", files / "tests.jsonl")
    assert "1 sample is also in the tests" in shown.stderr
    assert re.search(r"check: duplicate +│ +1 ", shown.stdout)
    table = pyarrow.parquet.read_table(files / "run" / "scores.parquet").to_pydict()
    assert [row["id"] for row in rows] == table["id"]
    assert (table["checks"][2], table["checks"][3]) == (["refusal"], ["test"])
    assert {table["duplicate_of"][1], table["duplicate_of"][4]} & {rows[1]["id"], rows[4]["id"]}
    select = ("select", files / "run", "--threshold", "score", "--set", "selection.score=-1")
    assert f"clues select {files / 'run'} --drop " in clues(*select).stdout
    assert not (files / "run" / "dropped.jsonl").read_text()
    shown = clues(*select, "--drop", "refusal").stdout
    assert re.search(r"--drop refusal,\S*duplicate", shown)  # what was asked for stays
    clues(*select, "--drop", "duplicate,refusal")
    dropped = [json.loads(line)["clues"]["reason"] for line in (files / "run/dropped.jsonl").read_text().splitlines()]
    assert sorted(reason.split(" ")[0] for reason in dropped) == ["near-copy", "refuses;"]
    assert "selection.drop.0: input should be" in clues(*select, "--drop", "dupes", code=2).stderr


def test_reviewed_samples_overrule_the_score(clues, tiny_model, files):
    out = files / "reviewed"
    score(clues, tiny_model, files, out, "--method", "auto")
    shown = clues("suggest", out, "--count", "4").stdout
    suggested = [json.loads(line) for line in (out / "to-review.jsonl").read_text().splitlines()]
    assert len(suggested) == 4
    assert all(row["id"] in shown and row["quality"] == "" for row in suggested)
    first, second = suggested[0]["id"], suggested[-1]["id"]
    marks = [{"id": first, "quality": "good", "remark": "short and right"}, {"id": second, "quality": "low"}]
    (out / "decisions.jsonl").write_text("".join(json.dumps(mark) + "\n" for mark in marks))
    assert re.search(r"reviewed +│ +2 ", clues("select", out).stdout)
    kept = {json.loads(line)["id"]: json.loads(line)["clues"] for line in (out / "kept.jsonl").read_text().splitlines()}
    assert kept[first]["reason"] == "kept by the owner"
    assert second not in kept
    clues("suggest", out, "--count", "4")
    again = [json.loads(line)["id"] for line in (out / "to-review.jsonl").read_text().splitlines()]
    assert not {first, second} & set(again)
    (out / "decisions.jsonl").write_text('{"id": "nobody", "quality": "good"}\n')
    assert "no sample here has the id 'nobody'" in clues("select", out, code=2).stderr
