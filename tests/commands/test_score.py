"""`clues score` on a tiny model: what it writes, what it refuses, and that it goes on."""

from __future__ import annotations

import subprocess
import sys
import time

import pyarrow.parquet
import pytest
import torch

from commands.made import FAST, score


def test_other_batch_size_and_a_second_process_give_the_same_scores(clues, tiny_model, files):
    tables = []
    for name, more in (("a", ()), ("b", ("--batch-size", 1)), ("c", ("--batch-size", 5))):
        score(clues, tiny_model, files, files / name, *more)
        clues("select", files / name)
        table = pyarrow.parquet.read_table(files / name / "scores.parquet")
        tables.append({column: torch.tensor(table[column].to_pylist()) for column in ("cosine", "score")})
    for name, other in (("b", tables[1]), ("c", tables[2])):
        # The log-odds are of signals in standard deviations of clean samples, which of a random model are small:
        # rounding shows more in them.
        for column, tolerance in (("cosine", 1e-5), ("score", 1e-3)):
            assert (tables[0][column] - other[column]).abs().max() <= tolerance * tables[0][column].abs().max()
        assert (files / name / "kept.jsonl").read_text().count("\n") == (files / "a/kept.jsonl").read_text().count("\n")


def test_score_at_a_given_trajectory_or_adapter_in_another_folder(clues, tiny_model, files):
    score(clues, tiny_model, files, files / "own")
    before = {p: p.stat().st_mtime_ns for p in (files / "own").rglob("*")}
    refused = score(clues, tiny_model, files, files / "own", "--set", "scoring.similarity=dot", code=2)
    assert "holds another run (scoring.similarity differ)" in refused.stderr
    assert {p: p.stat().st_mtime_ns for p in (files / "own").rglob("*")} == before
    trajectory = files / "own" / "trajectory"
    score(clues, tiny_model, files, files / "again", "--trajectory", trajectory)
    one, two = (pyarrow.parquet.read_table(files / n / "scores.parquet") for n in ("own", "again"))
    assert one.equals(two)
    score(clues, tiny_model, files, files / "single", "--adapter", max(trajectory.glob("checkpoint-*")))
    assert (files / "single" / "scores.parquet").is_file()


def test_a_scoring_that_was_killed_ends_with_the_same_bits(clues, tiny_model, files, write_samples):
    write_samples("mixed.jsonl", 80)
    slow = ("--batch-size", 1, "--set", "training.steps=4")
    score(clues, tiny_model, files, files / "whole", *slow)
    public = ["--validation", files / "val.jsonl", "--anchors", files / "anchors.jsonl"]
    options = ["--out", files / "killed", "--model", tiny_model, *FAST, *slow]
    command = [sys.executable, "-m", "clues.cli", "score", files / "mixed.jsonl", *public, *options]
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((files / "killed" / "store" / "passes").glob("*.safetensors")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait(timeout=30)
    assert not (files / "killed" / "scores.parquet").exists()
    score(clues, tiny_model, files, files / "killed", *slow)
    for table in ("scores.parquet", "anchors.parquet"):
        assert pyarrow.parquet.read_table(files / "killed" / table).equals(
            pyarrow.parquet.read_table(files / "whole" / table)
        )


def test_score_while_training(clues, tiny_model, files):
    score(clues, tiny_model, files, files / "run", "--set", "scoring.walk=in-run")
    clues("select", files / "run", "--labels", files / "mixed.labels.jsonl")
    table = pyarrow.parquet.read_table(files / "run" / "scores.parquet").to_pydict()
    assert {"id", "score", "val", "paper"} <= set(table)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "scoring.modules=*.nothing.*"], "scoring.modules"),
        (["--set", "scoring.similarty=dot"], "did you mean 'similarity'"),
        (["--set", "training.learning_rate=-1", "--set", "lora.r=0"], "lora.r"),
        (["--set", "data.max_tokens=8", "--set", "data.dialect=alpaca"], "field 'instruction' is missing"),
        (["--set", "data.dialect=xml"], "data.dialect"),
        (["--method", "magic"], "scoring.method"),
        (["--set", "scoring.domain_weights.none=1.0"], "scoring.domain_weights"),
        (["--set", "lora.target_modules=['nope']"], "lora.target_modules"),
        (["--adapter", "/nowhere"], "contains no adapter"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(clues, tiny_model, files, more, message):
    shown = score(clues, tiny_model, files, files / "run", *more, code=2).stderr
    assert message in shown
    assert "Traceback" not in shown


def test_overlap_with_public_data_is_listed(clues, tiny_model, files):
    (files / "val.jsonl").write_text((files / "mixed.jsonl").read_text().splitlines()[0].replace("clean", "v"))
    result = score(clues, tiny_model, files, files / "run", "--method", "random")
    assert "1 sample is also in the validation or anchor set: clean.jsonl-0" in result.stderr
