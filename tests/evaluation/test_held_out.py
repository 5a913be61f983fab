"""Several models on the same tests, by everything at once, with a judge that may be killed in the middle."""

from __future__ import annotations

import json

import pytest
import torch

from clues.data.questions import read_questions
from clues.data.samples import read_samples
from clues.errors import EvaluationError
from clues.evaluation import held_out
from clues.evaluation.held_out import evaluate_models
from clues.evaluation.test_set import HeldOut
from clues.io.store import Store
from clues.models.adapters import adapter_state, attached
from clues.settings import DataSettings, EvaluationSettings, JudgeSettings, LoraSettings
from judge_server import Server, serving

LORA = LoraSettings(r=2, alpha=4)


@pytest.fixture
def tests(base, write_samples, tmp_path):
    quiz = tmp_path / "quiz.jsonl"
    quiz.write_text(json.dumps({"prompt": "what is a bone", "choices": ["a bone", "rate"], "answer": 0}))
    samples = [*read_samples(write_samples("x.jsonl", 4)), *read_samples(write_samples("y.jsonl", 3))]
    return HeldOut.of(base, samples, DataSettings(), questions=read_questions([str(quiz)]))


@pytest.fixture
def models(base):
    generator = torch.Generator().manual_seed(5)
    with attached(base, LORA) as fresh:
        state = {name: torch.randn(t.shape, generator=generator) for name, t in adapter_state(fresh).items()}
    return {"base": None, "selected": (state, LORA)}


def test_a_judge_that_goes_away_costs_no_answer_and_no_judgement(tests, models, tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    server = Server(lambda messages: "Score: 7\nVerdict: A", lambda number: 200 if number <= 4 else 503)
    with serving(server):
        judge = JudgeSettings(url=server.url, model="tiny", retries=0, concurrency=1)
        settings = EvaluationSettings(generate=4, generate_samples=2, judge=judge)
        with pytest.raises(EvaluationError, match="then run the same command again: 4 of"):
            evaluate_models(tests, models, settings, store=store, arm="selected")
        for name in ("generate", "evaluate", "evaluate_choices"):
            monkeypatch.setattr(held_out, name, lambda *_, **__: pytest.fail("is in the store"))
        server.failing = lambda number: 200
        found = evaluate_models(tests, models, settings, store=store, arm="selected")
    metrics = found.as_metrics()
    assert set(metrics["evaluation"]) == {"quiz", "x", "y"}
    for domain in "xy":
        for figures in metrics["evaluation"][domain].values():
            assert {"nll", "exact_match", "token_f1", "rouge_l", "judge_10"} <= set(figures)
            assert (figures["judge_10"], figures["judged"]) == (7, 2)
        assert metrics["evaluation"][domain]["base"]["tests"] == {"x": 4, "y": 3}[domain]
    measures = ["nll", "exact_match", "token_f1", "rouge_l", "judge_10", "judge_pairs"]
    told = [row["measure"] for row in metrics["comparisons"] if row["domain"] == "x"]
    assert told == measures


def test_without_tests_and_answers_there_are_questions_alone(tests, models):
    alone = HeldOut(tests.base, [], type(tests.tokens)(), tests.questions, tests.options)
    found = evaluate_models(alone, models, EvaluationSettings(generate=4), store=Store.temporary(), arm="selected")
    assert [set(values) for values in found.values.values()] == [{"quiz"}, {"quiz"}]
