"""A judge on loopback: what is asked, read, kept, and lost when it goes away (nothing)."""

from __future__ import annotations

import json
import math
import re

import pytest

from clues.data.samples import Sample
from clues.errors import ConfigError, EvaluationError
from clues.evaluation.judge import endpoint
from clues.evaluation.judge.endpoint import check_judge, greet_judge
from clues.evaluation.judge.judging import Answers, judge
from clues.evaluation.judge.prompts import compared, preference_of, score_of, scored
from clues.io.store import Store
from clues.settings import JudgeSettings
from judge_server import Server, likeliest, serving

SAMPLES = [
    Sample(str(n), [{"role": "user", "content": f"what is a {word}"}], "a hard part", "xy"[n > 3], {}, "here")
    for n, word in enumerate(["bone", "nerve", "heart", "rate", "bond", "option"])
]
ARMS = {
    "base": ["a", "a bone", "the rate of a bond", "an option", "is", "heart"],
    "selected": ["the", "a bone", "fixed", "nerve", "increased", "bond"],
}
ANSWERS = Answers(SAMPLES, ARMS)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def settings(server, **changes):
    return JudgeSettings(**{"url": server.url, "model": "tiny", "retries": 0, "timeout": 20.0, **changes})


@pytest.mark.parametrize("scale", [10, 1])
def test_scores_and_preferences_are_what_the_model_behind_the_endpoint_says(base, store, scale):
    replies = {}

    def said_of(messages):
        text = json.dumps(messages)
        if text not in replies:
            replies[text] = likeliest(base, messages)
        return replies[text]

    with serving(Server(said_of)) as server:
        values, rows = judge(ANSWERS, settings(server, scale=scale), store=store, arm="selected")
    for arm, answers in ARMS.items():
        told = [said_of(scored(s, a, scale=scale)) for s, a in zip(SAMPLES, answers, strict=True)]
        scores = [score_of(reply, scale=scale) for reply in told]
        found = [value for domain in "xy" for value in values[arm][domain][f"judge_{scale}"]]
        assert found == pytest.approx(scores, nan_ok=True)
    preferences = []
    for sample, one, two in zip(SAMPLES, ARMS["selected"], ARMS["base"], strict=True):
        orders = [preference_of(said_of(compared(sample, *order))) for order in ((one, two), (two, one))]
        preferences.append(0.0 if one == two else (orders[0] - orders[1]) / 2)
    assert [row["difference"] for row in rows] == pytest.approx([sum(preferences[:4]) / 4, sum(preferences[4:]) / 2])
    assert [(row["domain"], row["measure"], row["other"]) for row in rows] == [
        (domain, "judge_pairs", "base") for domain in "xy"
    ]
    assert len(server.requests) == 12 + 2 * 5 - 1  # two answers are equal: one score, and no pair
    assert {(r["model"], r["temperature"], r["max_tokens"]) for r in server.requests} == {("tiny", 0.0, 512)}
    assert set(server.keys) == {"Bearer no-key"}


def always(single, pair):
    return lambda messages: single if "Score:" in messages[0]["content"] else pair


def test_a_judge_that_always_prefers_the_first_answer_tells_no_difference(store):
    with serving(Server(always("Score: 5", "Verdict: A"))) as server:
        _, rows = judge(ANSWERS, settings(server), store=store, arm="selected")
    assert [row["difference"] for row in rows] == [0, 0]
    assert [re.search(r"the same of (\d of \d)", row["verdict"]).group(1) for row in rows] == ["0 of 3", "0 of 2"]
    assert all(row["verdict"].startswith("no difference can be told") for row in rows)


def test_one_side_is_better_where_both_orders_say_so(store):
    def reply(messages):
        first = messages[1]["content"].index("good") < messages[1]["content"].index("bad")
        return "Verdict: A" if first else "Verdict: B"

    many = Answers(
        SAMPLES[:4] * 2, {"selected": [f"good {n}" for n in range(8)], "base": [f"bad {n}" for n in range(8)]}
    )
    with serving(Server(lambda messages: "?" if "Score" in messages[0]["content"] else reply(messages))) as server:
        values, (row,) = judge(many, settings(server), store=store, arm="selected")
    assert (row["difference"], row["low"], row["high"]) == (1, 1, 1)
    assert row["verdict"] == "selected is better than base; in both orders the judge says the same of 8 of 8 pairs"
    assert all(math.isnan(value) for value in values["base"]["x"]["judge_10"])


def test_verdicts_that_cannot_be_read_are_counted_and_do_not_count(store):
    def reply(messages):
        return "Score: 5" if "bone" in messages[1]["content"] else "I cannot tell."

    with serving(Server(reply)) as server:
        values, rows = judge(ANSWERS, settings(server), store=store, arm="selected")
    assert values["base"]["x"]["judge_10"] == pytest.approx([5, 5, math.nan, math.nan], nan_ok=True)
    assert rows[0]["verdict"].endswith("; 3 pairs could not be judged")
    assert rows[1]["difference"] is None
    assert "no verdict of the judge can be read" in rows[1]["verdict"]


def test_a_finished_judgement_is_never_asked_again(store, capsys):
    with serving(Server(always("Score: 5", "Verdict: A"))) as server:
        first = judge(ANSWERS, settings(server, pairs=False), store=store, arm="selected")
        assert len(server.requests) == 11
        assert judge(ANSWERS, settings(server, pairs=False), store=store, arm="selected") == first
        assert len(server.requests) == 11
        assert first[1] == []
        judge(ANSWERS, settings(server), store=store, arm="selected")
        assert "10 judgements to ask for, 11 known" in capsys.readouterr().err
    judge(ANSWERS, settings(server), store=store, arm="selected")  # the judge is gone, and not needed


@pytest.mark.parametrize("status", [None, 503])
def test_a_judge_that_goes_away_in_the_middle_loses_nothing(store, status):
    gone = [True]
    server = Server(always("Score: 5", "Verdict: A"), lambda number: status if gone[0] and number > 6 else 200)
    with serving(server):
        one_by_one = settings(server, concurrency=1)
        with pytest.raises(EvaluationError, match=r"does not judge .*then run the same command again: 6 of 21"):
            judge(ANSWERS, one_by_one, store=store, arm="selected")
        asked = [request["messages"] for request in server.requests[:6]]
        server.requests.clear()
        gone[0] = False
        resumed = judge(ANSWERS, one_by_one, store=store, arm="selected")
        assert len(server.requests) == 21 - 6
        assert not [request for request in server.requests if request["messages"] in asked]
        assert resumed == judge(ANSWERS, one_by_one, store=Store.temporary(), arm="selected")


def test_what_may_succeed_later_is_tried_again(store):
    with serving(Server(always("Score: 5", ""), lambda number: 500 if number == 1 else 200)) as server:
        values, _ = judge(ANSWERS, settings(server, retries=1, pairs=False), store=store, arm="selected")
    assert len(server.requests) == 12
    assert set(values["base"]["x"]["judge_10"]) == {5}


def test_a_question_that_is_refused_alone_is_not_judged_and_asked_again_later(store):
    with serving(Server(always("Score: 5", ""), lambda number: 400 if number == 2 else 200)) as server:
        one_by_one = settings(server, concurrency=1, pairs=False)
        values, _ = judge(ANSWERS, one_by_one, store=store, arm="selected")
        assert values["base"]["x"]["judge_10"] == pytest.approx([5, math.nan, 5, 5], nan_ok=True)
        values, _ = judge(ANSWERS, one_by_one, store=store, arm="selected")
    assert values["base"]["x"]["judge_10"] == [5, 5, 5, 5]


def test_a_judge_that_does_not_answer_in_time(store, monkeypatch):
    import threading

    never = threading.Event()
    with serving(Server(lambda messages: never.wait(5) and "")) as server:
        with pytest.raises(EvaluationError, match=r"no answer within 0\.2 s\)"):
            greet_judge(settings(server, timeout=0.2), store)
        never.set()


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (
            401,
            r"does not judge \(status 401: .*\*\*\*.*\); check the key in the variable that evaluation.judge.key_env",
        ),
        (404, r"status 404: .*; check evaluation\.judge\.url and evaluation\.judge\.model"),
        (400, r"status 400: .*; change evaluation\.judge\.request"),
        (429, r"status 429: .*lower evaluation\.judge\.concurrency"),
        (None, r"no connection\); start it"),
    ],
)
def test_what_is_wrong_is_told_before_any_work_and_never_shows_the_key(store, monkeypatch, status, message):
    monkeypatch.setenv("JUDGE_KEY", "sk-secret")
    with serving(Server(lambda messages: "ready", lambda number: status)) as server:
        with pytest.raises(EvaluationError, match=message) as caught:
            greet_judge(settings(server, key_env="JUDGE_KEY"), store)
        assert server.keys[0] == "Bearer sk-secret"
        assert "sk-secret" not in str(caught.value)
        server.failing = lambda number: 200
        greet_judge(settings(server, key_env="JUDGE_KEY"), store)
        count = len(server.requests)
        greet_judge(settings(server, key_env="JUDGE_KEY"), store)
        assert len(server.requests) == count


def test_a_page_that_is_no_endpoint_is_told(store):
    with serving(Server(lambda messages: "")) as server:
        server.answer = lambda body: {"hello": "there"}
        with pytest.raises(EvaluationError, match=r"what it sends is no chat completion\); give the base URL"):
            greet_judge(settings(server), store)


def test_the_cost_is_estimated_and_a_budget_stops_it(store, capsys):
    prices = {"input_price": 2.0, "output_price": 8.0, "request": {"max_tokens": 1000}, "pairs": False}
    with serving(Server(always("Score: 5", ""))) as server:
        with pytest.raises(EvaluationError, match=r"at most about 0\.09, which is above .*budget = 0\.05; raise it"):
            judge(ANSWERS, settings(server, **prices, budget=0.05), store=store, arm="selected")
        assert server.requests == []
        judge(ANSWERS, settings(server, **prices, budget=0.5), store=store, arm="selected")
    said = capsys.readouterr().err
    sent = int(
        re.search(r"about ([\d,]+) tokens to send and at most 11,000 to receive", said).group(1).replace(",", "")
    )
    texts = "".join(turn["content"] for request in server.requests for turn in request["messages"])
    assert sent == len(texts.encode()) // 4


def test_a_missing_key_or_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    given = JudgeSettings(url="http://localhost/v1", model="m", key_env="JUDGE_KEY")
    with pytest.raises(ConfigError, match=r"key_env: the environment variable JUDGE_KEY holds no API key; set it"):
        check_judge(given)
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(ConfigError, match="pip install openai"):
        endpoint.check_judge(given)
