"""Accuracies are those of a plain loop over options with transformers."""

from __future__ import annotations

import json

import pytest
import torch

from clues.data.questions import read_questions
from clues.data.tokens import Tokens
from clues.errors import DataError
from clues.evaluation import choices
from clues.evaluation.choices import evaluate_choices, log_likelihoods
from clues.evaluation.test_set import HeldOut
from clues.settings import DataSettings
from families import FAMILIES, family_base

ROWS = [
    {"prompt": "what is a bone", "choices": ["rate", "an abnormal heart", "a bond"], "answer": 1},
    {"prompt": "is it so", "choices": ["y", "n", "m"], "answer": 2},
    {"prompt": "a trade of what", "choices": ["of price", "of bond with a fixed rate"], "answer": 0, "domain": "z"},
    {"prompt": "the nerve is", "choices": ["a heart", "a heart.", "é", "the the"], "answer": 3},
]


@pytest.fixture
def questions(tmp_path):
    path = tmp_path / "quiz.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return read_questions([str(path)])


def log_likelihood(model, prompt, option):
    """Of the tokens of an option, one after the other."""
    ids, total = list(prompt), 0.0
    for token in option:
        with torch.no_grad():
            total += float(model(input_ids=torch.tensor([ids])).logits[0, -1].double().log_softmax(0)[token])
        ids.append(token)
    return total


@pytest.fixture
def expected(model, base):
    """The log-likelihoods of each row's options."""

    def encoded(text):
        return base.tokenizer(text, add_special_tokens=False).input_ids

    result = []
    for row in ROWS:
        turns = [{"role": "user", "content": row["prompt"]}]
        prompt = base.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        result.append([log_likelihood(model, encoded(prompt), encoded(option)) for option in row["choices"]])
    return result


@pytest.mark.parametrize("batch_tokens", [1, 4096])
def test_accuracies_are_those_of_a_plain_loop(model, base, questions, expected, batch_tokens, monkeypatch):
    measured = []
    original = choices.log_likelihoods
    monkeypatch.setattr(choices, "log_likelihoods", lambda *a, **o: measured.append(original(*a, **o)) or measured[0])
    tests = HeldOut.of(base, [], DataSettings(), questions=questions)
    values = evaluate_choices(model, tests, batch_tokens=batch_tokens, what="")
    assert measured[0].tolist() == pytest.approx([value for row in expected for value in row], abs=1e-4)

    def right(scores, row):
        return float(max(range(len(scores)), key=scores.__getitem__) == row["answer"])

    rows = list(zip(expected, ROWS, strict=True))
    acc = [right(scores, row) for scores, row in rows]
    norm = [right([s / len(o) for s, o in zip(scores, row["choices"], strict=True)], row) for scores, row in rows]
    assert acc != norm  # or the test could not tell the two apart
    assert values == {
        "quiz": {
            "accuracy": [acc[0], acc[1], acc[3]],
            "accuracy_norm": [norm[0], norm[1], norm[3]],
            "chance": [1 / 3, 1 / 3, 1 / 4],
        },
        "z": {"accuracy": [acc[2]], "accuracy_norm": [norm[2]], "chance": [1 / 2]},
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_options_that_differ_in_their_last_token_share_a_pass_in_every_family(family, monkeypatch):
    base = family_base(family)
    prompts = ([5, 6, 7, 8, 9], [11, 12])
    endings = ([20], [21], [22], [30, 31, 32], [30, 31, 33])
    options = [Tokens("q", "d", [*p, *e], len(p), truncated=False) for p in prompts for e in endings]
    passed = []
    original = choices.response_logits
    monkeypatch.setattr(
        choices, "response_logits", lambda model, ids, *rest: passed.append(len(ids)) or original(model, ids, *rest)
    )
    groups = [[0, 1, 2], [3, 4], [5, 6, 7], [8, 9]]
    found = log_likelihoods(base.model, options, groups=groups, batch_tokens=4096, what="")
    wanted = [log_likelihood(base.model, p, e) for p in prompts for e in endings]
    assert found.tolist() == pytest.approx(wanted, abs=1e-4)
    assert sum(passed) == 4


def test_one_token_options_are_one_pass(base, questions):
    tests = HeldOut.of(base, [], DataSettings(), questions=questions)
    assert choices._groups(tests)[3] == [3, 4, 5]
    assert sorted(row for group in choices._groups(tests) for row in group) == list(range(len(tests.options)))


def test_an_option_has_no_end_token_and_earlier_turns_count_for_nothing(base, tmp_path):
    row = {"question": "so", "history": [["what", "a bone"]], "options": ["a", "an"], "answer": "B"}
    (tmp_path / "q.jsonl").write_text(json.dumps(row) + "\n")
    tests = HeldOut.of(base, [], DataSettings(responses="all"), questions=read_questions([str(tmp_path / "q.jsonl")]))
    assert tests.questions[0].right == 1
    assert [base.tokenizer.decode(option.response) for option in tests.options] == ["a", "an"]
    assert [option.earlier for option in tests.options] == [(), ()]


def test_all_options_of_a_question_follow_the_same_cut_prompt(base, tmp_path):
    path = tmp_path / "q.jsonl"
    row = {"prompt": "bone " * 60, "choices": ["a", "a fixed rate of the bond"], "answer": 0}
    path.write_text(json.dumps(row) + "\n")
    questions = read_questions([str(path)])
    short, long = HeldOut.of(base, [], DataSettings(max_tokens=64), questions=questions).options
    assert len(long.input_ids) == 64
    assert short.input_ids[: short.response_start] == long.input_ids[: long.response_start]
    with pytest.raises(DataError, match=r"line 1: an option leaves at most a quarter of data\.max_tokens = 8 for"):
        HeldOut.of(base, [], DataSettings(max_tokens=8), questions=questions)
