"""`clues score` of the files of the tests, quickly."""

from __future__ import annotations

FAST = ["--set", "training.epochs=2", "--set", "lora.r=2", "--set", "training.batch_size=4"]


def score(clues, tiny_model, files, out, *more, code=0):
    public = ["--validation", files / "val.jsonl", "--anchors", files / "anchors.jsonl"]
    return clues("score", files / "mixed.jsonl", *public, "--out", out, "--model", tiny_model, *FAST, *more, code=code)
