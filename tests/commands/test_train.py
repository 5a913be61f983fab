"""`clues train`, `clues merge` and `clues evaluate`, one after the other."""

from __future__ import annotations

import json
import re

from commands.made import FAST


def test_train_merge_evaluate(clues, tiny_model, files):
    for name in ("one", "two"):
        clues(
            "train",
            files / "clean.jsonl",
            "--out",
            files / name,
            "--model",
            tiny_model,
            *FAST,
            "--seed",
            len(name) + ord(name[0]),
        )
    merge = ("merge", files / "one/adapter", files / "two/adapter", "--model", tiny_model, "--out")
    clues(*merge, files / "merged")
    learned = ("--weights", "learned", "--set", "merging.weight_steps=2")
    shown = clues(*merge, files / "learned", *learned, "--data", files / "anchors.jsonl").stderr
    assert re.search(r"Merge weights 0\.\d+, 0\.\d+: public loss", shown)
    assert (files / "learned/adapter_model.safetensors").is_file()
    for wrong in (learned, ("--data", files / "anchors.jsonl")):
        assert "need each other" in clues(*merge, files / "no", *wrong, code=2).stderr
    assert "use equal or learned" in clues(*merge, files / "no", "--weights", "samples", code=2).stderr
    other = files / "two/adapter/adapter_config.json"
    other.write_text(json.dumps(json.loads(other.read_text()) | {"lora_alpha": 99}))
    clues(*merge, files / "other-scaling")
    evaluate = ("evaluate", files / "clean.jsonl", "--adapter", files / "merged", "--model", tiny_model)
    assert "nll" in clues(*evaluate).output
    assert "a file of multiple-choice questions by --choices, or --harness" in clues("evaluate", code=2).stderr
    quiz = files / "quiz.jsonl"
    quiz.write_text(json.dumps({"prompt": "what is a bone", "choices": ["a bone", "a fixed rate"], "answer": "B"}))
    known = clues("evaluate", "--choices", quiz, "--model", tiny_model).output
    assert re.search(r"accuracy_norm +│ +[01]\.000 ", known)
    assert "nll" not in known
    answered = clues(*evaluate, "--generate", 3, "--set", "evaluation.generate_samples=2").output
    assert re.search(r"answers +│ +2 ", answered)
    for figure in ("nll", "exact_match", "token_f1", "rouge_l"):
        assert figure in answered
    compared = clues(*evaluate, "--compare", "--out", files / "evaluated").output
    assert "adapter − base" in compared
    assert set(json.loads((files / "evaluated/evaluation.json").read_text())["evaluation"]["clean"]) == {
        "base",
        "adapter",
    }
    assert "holds another run (compare" in clues(*evaluate, "--out", files / "evaluated", code=2).stderr
