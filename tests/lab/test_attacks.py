"""Every attack changes what it says, and nothing else; each is met by a defence."""

from __future__ import annotations

import re
from statistics import fmean

import pytest
import torch

from clues.collaboration.defences import capped_weights, check_anchors, check_updates, robust_threshold
from clues.errors import SelectionError
from clues.lab.attacks import ATTACKS, copied_adapter
from clues.selection.threshold import fit_threshold
from clues.settings import SelectionSettings

CLIENTS = "abcde"
RULES = ("anchor-mean", "anchor-quantile", "anchor-deviation", "anchor-normalised")


def answer(seed: int):
    generator = torch.Generator().manual_seed(seed)
    scores = (0.3 + 0.1 * torch.randn(20, generator=torch.Generator().manual_seed(77))).double()
    noise = 0.02 * torch.randn(20, generator=generator).double()
    facts = {"id": CLIENTS[seed], "numbers": {"samples": 40 + seed, "score": (scores + noise).tolist()}}
    common = torch.Generator().manual_seed(99)
    arrays = {
        f"q.lora_{part}.weight": torch.randn(shape, generator=common) + torch.randn(shape, generator=generator)
        for part, shape in (("A", (2, 40)), ("B", (30, 2)))
    }
    return facts, arrays


HONEST = {client: answer(seed) for seed, client in enumerate(CLIENTS)}


def attacked(name: str):
    return {**HONEST, "e": ATTACKS[name].answer(*HONEST["e"])}


def anchors(answers):
    return {client: torch.tensor(facts["numbers"]["score"]) for client, (facts, _) in answers.items()}


def updates(answers):
    return {client: arrays for client, (_, arrays) in answers.items()}


def rule(name: str) -> SelectionSettings:
    return SelectionSettings(threshold=name)


@pytest.mark.parametrize("name", ATTACKS)
def test_the_honest_answer_is_left_alone(name):
    facts, arrays = answer(4)
    ATTACKS[name].answer(facts, arrays)
    ATTACKS[name].request(facts, arrays)
    assert facts == HONEST["e"][0] and all(torch.equal(t, HONEST["e"][1][n]) for n, t in arrays.items())


def test_what_each_attack_changes():
    facts, arrays = HONEST["e"]
    scores = torch.tensor(facts["numbers"]["score"])
    changed = {name: attack.answer(facts, arrays) for name, attack in ATTACKS.items()}
    assert fmean(changed["inflate"][0]["numbers"]["score"]) == pytest.approx(
        float(scores.mean() + 10 * scores.std(correction=0))
    )
    assert changed["stretch"][0]["numbers"]["score"] == pytest.approx((100 * scores).tolist())
    assert changed["claim"][0]["numbers"]["samples"] == 44_000
    product = {name: a["q.lora_B.weight"] @ a["q.lora_A.weight"] for name, (_, a) in changed.items()}
    honest = arrays["q.lora_B.weight"] @ arrays["q.lora_A.weight"]
    assert torch.allclose(product["flip"], -honest)
    assert torch.allclose(product["scale"], 100 * honest, rtol=1e-4)
    assert torch.isnan(product["nan"]).any()
    assert ATTACKS["everything"].request({"arm": "selected", "rounds": 2}, {})[0] == {"arm": "mixed", "rounds": 2}


@pytest.mark.parametrize("name", RULES)
def test_one_liar_moves_the_pooled_threshold_and_not_the_robust_one(name):
    honest = anchors(HONEST)
    limits = {client: fit_threshold({client: s}, rule(name)).limit(client) for client, s in honest.items()}
    for attack in ("inflate", "deflate", "stretch"):
        given = anchors(attacked(attack))
        for statistic in ("median", "trimmed-mean"):
            fitted = robust_threshold(given, rule(name), statistic=statistic)
            assert min(limits.values()) <= fitted.limit("a") <= max(limits.values())
        if name in ("anchor-mean", "anchor-deviation"):
            pooled = fit_threshold(given, rule(name)).limit("a")
            assert not min(limits.values()) <= pooled <= max(limits.values())


def test_robust_thresholds_where_nothing_is_robust():
    honest = anchors(HONEST)
    for name in ("ratio", "score", "posterior"):
        assert robust_threshold(honest, rule(name), statistic="median") == fit_threshold(honest, rule(name))
    assert robust_threshold(honest, rule("anchor-mean"), statistic="mean") == fit_threshold(honest, rule("anchor-mean"))
    with pytest.raises(SelectionError, match=r"leaves out 0\.1 of 5 clients leaves out none"):
        robust_threshold(honest, rule("anchor-mean"), statistic="trimmed-mean", trim=0.1)


def test_anchor_scores_that_lie_are_suspicious_and_honest_ones_are_not():
    assert not any(report.suspicious for report in check_anchors(anchors(HONEST)).values())
    for attack in ("inflate", "deflate", "stretch"):
        reports = check_anchors(anchors(attacked(attack)))
        assert [client for client, report in reports.items() if report.suspicious] == ["e"], attack
    assert check_anchors(anchors(attacked("stretch")))["e"].spread == pytest.approx(100, rel=0.2)
    one_adapter = dict.fromkeys(CLIENTS, anchors(HONEST)["a"])  # as in a federation
    assert not any(report.suspicious for report in check_anchors(one_adapter).values())
    liar = check_anchors({**one_adapter, "e": one_adapter["e"] + 1})
    assert [client for client, report in liar.items() if report.suspicious] == ["e"]
    made_up = {**anchors(HONEST), "e": torch.full((20,), 0.3, dtype=torch.float64)}
    assert check_anchors(made_up)["e"].suspicious
    assert check_anchors({client: scores for client, scores in made_up.items() if client in "ab"}) == {}


@pytest.mark.parametrize(
    ("attack", "reason"),
    [
        ("scale", "its norm is .* times the others' median"),
        ("nan", "not numbers"),
    ],
)
def test_updates_that_lie_are_suspicious(attack, reason):
    assert all(report.reasons == [] for report in check_updates(updates(HONEST)).values())
    reports = check_updates(updates(attacked(attack)))
    assert len(reports["e"].reasons) == 1
    torch.testing.assert_close(reports["a"].ratio, check_updates(updates(HONEST))["a"].ratio, rtol=0.1, atol=0)
    assert re.search(reason, reports["e"].reasons[0])
    assert all(reports[client].reasons == [] for client in "abcd")


def test_flipped_and_copied_updates():
    flipped = {client: {n: -t if client == "e" else t for n, t in u.items()} for client, u in updates(HONEST).items()}
    assert "cosine" in check_updates(flipped)["e"].reasons[0]
    copy = copied_adapter(HONEST["b"][1])(*HONEST["e"])[1]
    reports = check_updates({**updates(HONEST), "e": copy})
    assert (reports["e"].nearest, reports["e"].reasons) == ("b", ["it is nearly that of b"])


def test_a_claim_counts_at_most_a_multiple_of_the_others():
    claims = {client: facts["numbers"]["samples"] for client, (facts, _) in attacked("claim").items()}
    assert capped_weights(claims) == {"a": 40, "b": 41, "c": 42, "d": 43, "e": 83.0}
    assert capped_weights({"a": 5.0, "b": 0.0}) == {"a": 5.0, "b": 0.0}
