"""A silo of a loaded model and of records, without a file."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from bundles import state_digest
from clues import Silo, select_records
from clues.errors import ConfigError, DataError
from clues.models.trajectory import Trained


def records(count: int, start: int = 0) -> list[dict[str, str]]:
    words = ["bone", "nerve", "heart", "rate", "price", "bond", "option", "trade"]
    return [
        {"prompt": f"what is {words[n % 8]}", "response": " ".join(words[: 3 + n % 5])} for n in range(start, count)
    ]


@pytest.fixture
def loaded(tiny_model):
    return AutoModelForCausalLM.from_pretrained(tiny_model), AutoTokenizer.from_pretrained(tiny_model)


PUBLIC = {"validation": records(4, 0), "anchors": records(12, 8)}


def test_scores_repeat_and_the_model_is_as_it_was(loaded):
    model, tokenizer = loaded
    model.train()
    before = state_digest(model)
    silos = [Silo.from_records(model, tokenizer, records(8), **PUBLIC, training={"steps": 4}) for _ in range(2)]
    one, two = (silo.score() for silo in silos)
    assert np.array_equal(one.score, two.score)
    assert one.score.shape == (8,)
    assert state_digest(model) == before


def test_work_is_done_once_and_another_method_takes_the_same_trajectory(loaded, monkeypatch):
    calls = []
    monkeypatch.setattr("clues.silo.silo.fit", counted(calls))
    silo = Silo.from_records(*loaded, records(8), **PUBLIC, training={"steps": 4})
    silo.score()
    silo.select()
    other = Silo(silo.job.with_scoring(method="clues"), store=silo.store)
    assert not np.array_equal(other.score().score, silo.score().score)
    assert len(calls) == 1


def test_what_is_selected_was_scored_along_the_trajectory_that_was_given(loaded, monkeypatch):
    silo = Silo.from_records(*loaded, records(8), **PUBLIC, training={"steps": 4}, scoring={"method": "clues"})
    trained = silo.trajectory()
    last = Trained(trained.lora, trained.checkpoints[-1:])
    scored = silo.score(last)
    assert np.array_equal(silo.select().scores, scored.score)
    assert not np.array_equal(silo.score().score, scored.score)


def counted(calls):
    from clues.training.fit import fit

    return lambda *arguments, **options: calls.append(1) or fit(*arguments, **options)


def test_weights_that_changed_in_memory_are_another_model(loaded):
    model, tokenizer = loaded
    one = Silo.from_records(model, tokenizer, records(8), **PUBLIC).job.base.digest
    with torch.no_grad():
        model.get_input_embeddings().weight += 0.1
    assert Silo.from_records(model, tokenizer, records(8), **PUBLIC).job.base.digest != one


def test_what_is_selected_are_the_records_themselves(loaded):
    given = records(8)
    kept = select_records(*loaded, given, **PUBLIC, selection={"threshold": "ratio", "ratio": 0.5})
    assert len(kept) == 4
    assert all(any(record is one for one in given) for record in kept)


def test_wrong_records_and_settings_are_told_at_once(loaded):
    wrong = [*records(2), {"prompt": "what is a bone", "response": ""}, {"prompt": "x"}]
    with pytest.raises(DataError) as error:
        Silo.from_records(*loaded, wrong, validation=records(4), anchors=[{"prompt": "a", "response": " "}])
    for place in ("records, record 3", "records, record 4", "anchors, record 1"):
        assert place in str(error.value)
    with pytest.raises(ConfigError, match=r"scoring\.similarty: unknown setting; did you mean 'similarity'"):
        Silo.from_records(*loaded, records(4), **PUBLIC, scoring={"similarty": "dot"})
