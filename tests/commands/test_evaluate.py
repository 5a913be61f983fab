"""`clues evaluate`: a judge that goes away, and wrong settings."""

from __future__ import annotations

import json
import re

import pytest

from judge_server import Server, serving


def test_evaluate_with_a_judge_goes_on_where_it_stopped(clues, tiny_model, files):
    served = Server(lambda messages: "Fine.\nScore: 6", lambda number: 200 if number <= 3 else 503)
    with serving(served):
        judge = [f"evaluation.judge.{key}" for key in (f"url={served.url}", "model=tiny", "retries=0", "concurrency=1")]
        options = [part for setting in judge for part in ("--set", setting)]
        run = ("evaluate", files / "val.jsonl", "--model", tiny_model, "--generate", 3, *options)
        assert "judgements are kept in a folder; name one by --out" in clues(*run, code=2).stderr
        stopped = clues(*run, "--out", files / "judged", code=2).stderr
        assert "then run the same command again: 2 of 3 judgements are kept" in stopped  # after a greeting
        assert "Traceback" not in stopped
        served.failing = lambda number: 200
        run = (*run, "--set", "evaluation.judge.timeout=30")  # which changes no result
        assert re.search(r"judge_10 +│ +6\.000 ", clues(*run, "--out", files / "judged").output)
        assert len({json.dumps(request) for request in served.requests}) == 4
    again = clues(*run, "--out", files / "judged").output  # the judge is gone
    assert re.search(r"judged +│ +3 ", again)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "evaluation.judge.model=m"], "evaluation.judge.url: is required; add it."),
        (["--set", "evaluation.judge={url = 'x/v1', model = 'm'}"], "url: is not the base URL of an endpoint"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm', scale = 5}"], "evaluation.judge.scale: input"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm', key = 'k'}"], "did you mean 'key_env'?"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm', budget = 1}"], "budget: needs input_price"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm', request = {n = 2}}"], "request: n cannot be"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm'}"], "set evaluation.generate"),
        (["--limit", 3], "evaluation.harness.tasks: is required; add it."),
        (["--harness", ","], "evaluation.harness.tasks: is empty; give at least 1."),
        (["--compare"], "compare: compares an adapter with the base model; give --adapter"),
    ],
)
def test_wrong_settings_of_an_evaluation_are_one_sentence(clues, tiny_model, files, more, message):
    shown = clues("evaluate", files / "val.jsonl", "--model", tiny_model, *more, code=2).stderr
    assert message in shown
    assert shown.count("Error") == 1


def test_a_key_in_place_of_its_variable_is_never_shown(clues, tiny_model, files):
    given = "evaluation.judge={url = 'http://h/v1', model = 'm', key_env = 'sk-abc'}"
    shown = clues("evaluate", files / "val.jsonl", "--model", tiny_model, "--set", given, code=2).stderr
    assert "key_env: is not the name of an environment variable" in shown
    assert "sk-abc" not in shown
