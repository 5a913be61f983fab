from __future__ import annotations

import pytest

from clues.data.prompts import tokenize
from clues.data.samples import Sample
from clues.errors import DataError
from clues.settings import DataSettings


def sample(prompt="what is bone", response="the heart rate") -> Sample:
    return Sample("x", [{"role": "user", "content": prompt}], response, "d", {}, "f, line 1")


def test_only_the_response_carries_loss_and_bos_stands_once(base):
    (row,) = tokenize([sample()], base, DataSettings(max_tokens=200))
    decode = base.tokenizer.decode
    assert decode(row.input_ids[row.response_start :]) == "the heart rate</s>"
    assert decode(row.input_ids[: row.response_start]).endswith("assistant\n")
    assert row.input_ids[:2].count(base.tokenizer.bos_token_id) == 1


def test_without_a_chat_template_the_plain_one_is_used(base, monkeypatch):
    monkeypatch.setattr(base.tokenizer, "chat_template", None)
    (row,) = tokenize([sample()], base, DataSettings(max_tokens=200))
    assert base.tokenizer.decode(row.input_ids) == "### User:\nwhat is bone\n\n### Response:\nthe heart rate</s>"


def test_truncation_keeps_the_response_and_is_told(base, capsys):
    whole, short = (tokenize([sample()], base, DataSettings(max_tokens=limit))[0] for limit in (200, 20))
    assert (whole.truncated, short.truncated, len(short.input_ids)) == (False, True, 20)
    assert short.input_ids[short.response_start :] == whole.input_ids[whole.response_start :]
    assert "1 of 1 samples are longer than data.max_tokens = 20" in capsys.readouterr().err


def test_no_response_token_left_is_an_error(base):
    with pytest.raises(DataError, match=r"no response token is left within data\.max_tokens = 1"):
        tokenize([sample()], base, DataSettings.model_construct(max_tokens=1))
