"""The embedded model as a judge behind a real endpoint: what it says is what is read."""

from __future__ import annotations

import functools
import json

import pytest
import torch

from clues.data.samples import Sample
from clues.evaluation.judge.judging import Answers, judge
from clues.evaluation.judge.prompts import score_of, scored
from clues.io.store import Store
from clues.models.base import load_base
from clues.settings import JudgeSettings, ModelSettings
from judge_server import Messages, Server, likeliest, serving

pytestmark = pytest.mark.real_model
SAMPLES = [
    Sample("1", [{"role": "user", "content": "What is the capital of France?"}], "Paris.", "d", {}, "here"),
    Sample("2", [{"role": "user", "content": "What does the heart do?"}], "It pumps blood.", "d", {}, "here"),
]
ANSWERS = Answers(SAMPLES, {"base": ["Rome.", "It digests food."], "selected": ["It is Paris.", "It pumps the blood."]})


@pytest.fixture(scope="module")
def smollm2():
    return load_base(ModelSettings())


def judged(reply, tmp_path, scale):
    with serving(Server(reply)) as server:
        settings = JudgeSettings(url=server.url, model="smollm2", scale=scale, timeout=120.0, retries=0)
        return *judge(ANSWERS, settings, store=Store(tmp_path / "store"), arm="selected"), len(server.requests)


@pytest.mark.parametrize("scale", [1, 10])
def test_a_free_judge_is_read_where_it_gives_a_verdict_and_else_counted(smollm2, tmp_path, scale):
    @functools.cache  # the server and this test ask the same
    def said(messages: str) -> str:
        text = smollm2.tokenizer.apply_chat_template(json.loads(messages), tokenize=False, add_generation_prompt=True)
        ids = smollm2.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
        with torch.no_grad():
            output = smollm2.model.generate(ids, max_new_tokens=80, do_sample=False, use_cache=True)
        return smollm2.tokenizer.decode(output[0, ids.shape[1] :], skip_special_tokens=True)

    def free(messages: Messages) -> str:
        return said(json.dumps(messages))

    values, (row,), asked = judged(free, tmp_path, scale)
    assert asked == 4 + 4
    for arm, answers in ANSWERS.by_arm.items():
        replies = [free(scored(sample, answer, scale=scale)) for sample, answer in zip(SAMPLES, answers, strict=True)]
        wanted = [score_of(reply, scale=scale) for reply in replies]
        assert values[arm]["d"][f"judge_{scale}"] == pytest.approx(wanted, nan_ok=True)
    assert row["difference"] is None or -1 <= row["difference"] <= 1


def test_a_guided_judge_always_gives_a_verdict(smollm2, tmp_path):
    values, (row,), _ = judged(lambda messages: likeliest(smollm2, messages), tmp_path, 10)
    assert {score for arm in values.values() for score in arm["d"]["judge_10"]} <= {1.0, 4.0, 10.0}
    assert row["verdict"].endswith("of 2 pairs")
