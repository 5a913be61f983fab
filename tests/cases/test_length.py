"""Samples that are too long, and what is made of them, stay within data.max_tokens and the model's positions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from bundles import job, scores
from clues.data.cutting import cut_pair
from clues.data.prompts import tokenize
from clues.data.samples import Sample
from clues.data.tokens import Tokens
from clues.evaluation.generation import generate
from clues.models.base import Base
from clues.settings import DataSettings, EvaluationSettings, LoraSettings


def sample(prompt: str, response: str, identity: str = "x") -> Sample:
    return Sample(identity, [{"role": "user", "content": prompt}], response, "d", {}, "f, line 1")


@pytest.mark.parametrize(
    ("prompt", "response", "limit", "expected"),
    [
        (5, 5, 10, (5, 5)),
        (5, 50, 20, (5, 15)),  # a long response does not cost a short question
        (50, 5, 20, (15, 5)),
        (50, 50, 20, (5, 15)),
        (50, 50, None, (50, 50)),
        (50, 50, 2, (1, 1)),
    ],
)
def test_prompt_and_response_share_the_limit(prompt, response, limit, expected):
    parts = cut_pair(list(range(prompt)), list(range(100, 100 + response)), limit)
    assert tuple(map(len, parts)) == expected
    assert parts[1] == list(range(100, 100 + expected[1]))
    assert parts[0][0] == 0  # the first token and the last ones stay
    if expected[0] > 1:
        assert parts[0][-1] == prompt - 1


def test_a_cut_prompt_keeps_its_header_and_the_end_of_its_question(base):
    whole, short = (
        tokenize([sample("bone " * 60 + "what is a nerve", "the heart")], base, DataSettings(max_tokens=limit))[0]
        for limit in (2000, 60)
    )
    assert len(short.input_ids) == 60
    assert short.input_ids[:4] == whole.input_ids[:4]
    text = base.tokenizer.decode(short.input_ids)
    assert text.startswith("<s>user\nbone")
    assert text.endswith("what is a nerve</s><s>assistant\nthe heart</s>")
    assert (short.truncated, short.ends) == (True, True)
    assert short.prompt == whole.input_ids[: whole.response_start]


def test_the_models_positions_are_the_limit(base, capsys):
    torch.manual_seed(0)
    vocabulary = base.model.config.vocab_size
    small = GPT2LMHeadModel(GPT2Config(vocab_size=vocabulary, n_positions=40, n_embd=16, n_layer=1, n_head=2)).eval()
    gpt2 = replace(base, model=small)
    (row,) = tokenize([sample("a", "bone " * 90)], gpt2)
    assert len(row.input_ids) == 40
    assert "exceeds the model's 40 positions" in capsys.readouterr().err


def rows(count: int, length: int, limit: int, ends: bool = True, domain: str = "d") -> list[Tokens]:
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(3, 96, (count, length), generator=generator).tolist()
    return [Tokens(f"{domain}{length}-{n}", domain, row, length // 2, False, ends, limit) for n, row in enumerate(ids)]


def scored(base: Base, samples: list[Tokens], public: list[Tokens]) -> dict[str, torch.Tensor]:
    from clues.models.adapters import adapter_state, attached
    from clues.models.trajectory import Checkpoint, Trained

    lora = LoraSettings(r=2)
    with attached(base, lora) as model:
        state = {n: torch.full(t.shape, 0.01) for n, t in adapter_state(model).items()}
    half = len(public) // 2
    return scores(job(base, samples, public[:half], public[half:]), Trained(lora, [Checkpoint(state, 1.0)])).columns


def test_where_we_cut_a_response_its_end_tells_nothing(base):
    public = rows(8, 24, 30)
    cut = [replace(item, ends=False, truncated=True) for item in rows(3, 30, 30)]
    found = scored(base, cut, public)
    assert not found["ending"][:3].any()
    assert found["ending"][3:].any()


def test_a_model_without_end_tokens_is_scored_without_them(base):
    found = scored(base, rows(3, 20, 30, ends=False), rows(8, 24, 30, ends=False))
    assert not found["ending"].any()
    assert torch.isfinite(found["score"]).all()


def test_a_generated_answer_does_not_know_how_long_its_reference_is(base):
    prompt = "what is a bone with a nerve of price"
    short, long = (
        tokenize([sample(prompt, response)], base, DataSettings(max_tokens=64)) for response in ("heart", "heart " * 40)
    )
    assert long[0].truncated
    one, two = (
        generate(base.model, base, test, settings=EvaluationSettings(generate=5), what="answers")
        for test in (short, long)
    )
    assert one == two
