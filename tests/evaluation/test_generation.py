from __future__ import annotations

import pytest
import torch

from clues.data.prompts import tokenize
from clues.data.samples import read_samples
from clues.evaluation.generation import answered_rows, evaluate_answers, generate
from clues.evaluation.test_set import HeldOut
from clues.settings import DataSettings, EvaluationSettings

LENGTH = 8


@pytest.fixture
def samples(write_samples):
    return [*read_samples(write_samples("x.jsonl", 4)), *read_samples(write_samples("y.jsonl", 3))]


@pytest.fixture
def tokens(base, samples):
    return tokenize(samples, base, DataSettings(max_tokens=64))


def one_by_one(model, base, item):
    """The most likely next token, again and again, without padding and without a cache."""
    ids = item.input_ids[: item.response_start]
    answer = []
    while len(answer) < LENGTH:
        with torch.no_grad():
            token = int(model(input_ids=torch.tensor([ids + answer])).logits[0, -1].argmax())
        if token == base.tokenizer.eos_token_id:
            break
        answer.append(token)
    return answer


def text(base, answer):
    return base.tokenizer.decode(answer, skip_special_tokens=True).strip()


@pytest.mark.parametrize("batch_tokens", [1, 4096])
def test_batches_of_unequal_prompts_answer_as_each_prompt_alone(model, base, tokens, batch_tokens):
    expected = [text(base, one_by_one(model, base, item)) for item in tokens]
    assert len({item.response_start for item in tokens}) > 1
    assert len(set(expected)) > 1
    settings = EvaluationSettings(generate=LENGTH, batch_tokens=batch_tokens)
    assert generate(model, base, tokens, settings=settings, what="answers") == expected


def test_an_answer_ends_at_each_end_that_the_model_names(model, base, tokens, monkeypatch):
    whole = one_by_one(model, base, tokens[0])
    stop = whole[-1]
    monkeypatch.setattr(model.generation_config, "eos_token_id", [1, stop])
    settings = EvaluationSettings(generate=LENGTH)
    answer = text(base, whole[: whole.index(stop)])
    assert generate(model, base, tokens[:1], settings=settings, what="answers") == [answer]


def test_values_are_those_of_the_first_samples_of_each_domain(base, samples, tokens):
    rows = answered_rows(HeldOut(base, samples, tokens), 2)
    answered = [samples[row] for row in rows]
    assert [sample.id for sample in answered] == ["x.jsonl-0", "x.jsonl-1", "y.jsonl-0", "y.jsonl-1"]
    found = evaluate_answers([samples[0].response, "nothing like it", "", "it"], answered)
    names = ("exact_match", "token_f1", "rouge_l")
    assert found == {"x": {name: [1.0, 0.0] for name in names}, "y": {name: [0.0, 0.0] for name in names}}
    assert answered_rows(HeldOut(base, samples, tokens), None) == list(range(7))
