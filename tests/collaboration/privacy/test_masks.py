"""A masked sum is the exact sum; what one client sends is noise to whoever lacks a key."""

from __future__ import annotations

import itertools
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from scipy.stats import chisquare

from clues.collaboration.privacy.keys import check_keys, public_text, read_key, write_key
from clues.collaboration.privacy.masks import MaskedSum, UsedMasks, check_sum, mask, unmask
from clues.errors import ConfigError, ProtocolError

CLIENTS = ["a", "b", "c"]
PLAN = MaskedSum("job", "selected 1", {"a": 40, "b": 14, "c": 31})


@pytest.fixture(scope="module")
def keys():
    return {client: X25519PrivateKey.generate() for client in CLIENTS}


@pytest.fixture(scope="module")
def publics(keys):
    return {client: public_text(key) for client, key in keys.items()}


def adapter(seed: int, count: int = 20_000):
    generator = torch.Generator().manual_seed(seed)
    return {"A": torch.randn(4, count // 4, generator=generator) * 0.05, "B": torch.randn(3, generator=generator)}


@pytest.fixture(scope="module")
def sent(keys, publics):
    def send(plan: MaskedSum = PLAN, states=None):
        states = states or {client: adapter(seed) for seed, client in enumerate(CLIENTS)}
        return {
            client: mask(states[client], plan, client=client, key=keys[client], peers=publics).arrays
            for client in plan.weights
        }

    return send


def words(arrays) -> np.ndarray:
    return arrays["A"].numpy().ravel()


def test_the_sum_is_the_weighted_mean_within_the_stated_error(sent):
    mean = unmask(sent(), PLAN)
    for name, values in mean.items():
        exact = sum(adapter(seed)[name].double() * PLAN.shares[client] for seed, client in enumerate(CLIENTS))
        # Half a unit for each client, and the rounding of the result to float32.
        bound = len(CLIENTS) * PLAN.unit / 2 + 2.0**-24 * exact.abs().max()
        assert values.dtype == torch.float32
        assert (values - exact).abs().max() <= bound


def test_the_order_of_answers_does_not_change_a_bit(sent):
    answers = sent()
    results = [unmask({c: answers[c] for c in order}, PLAN) for order in itertools.permutations(CLIENTS)]
    assert all(torch.equal(results[0][name], other[name]) for other in results for name in other)


def test_what_is_sent_has_the_size_of_the_adapter(sent):
    assert all(arrays["A"].dtype == torch.int32 and arrays["A"].shape == (4, 5000) for arrays in sent().values())


def test_weights_are_alike_whatever_their_type():
    assert replace(PLAN, weights={"c": 31.0, "b": 14.0, "a": 40.0}).digest == PLAN.digest


def test_values_beyond_the_limit_are_clipped_and_counted(keys, publics):
    state = {"w": torch.tensor([9.0, -8.5, 8.0, 1.0])}
    answers = {c: mask(state, PLAN, client=c, key=keys[c], peers=publics) for c in CLIENTS}
    assert [answer.clipped for answer in answers.values()] == [2, 2, 2]
    mean = unmask({client: answer.arrays for client, answer in answers.items()}, PLAN)
    assert mean["w"].tolist() == pytest.approx([8.0, -8.0, 8.0, 1.0], abs=1e-7)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_values_that_are_not_numbers_are_refused(keys, publics, wrong):
    with pytest.raises(ProtocolError, match="not numbers"):
        mask({"w": torch.tensor([wrong])}, PLAN, client="a", key=keys["a"], peers=publics)


def test_masks_differ_by_everything_that_describes_the_sum(sent):
    others = [
        replace(PLAN, job="job 2"),
        replace(PLAN, round="selected 2"),
        replace(PLAN, request="another"),
        replace(PLAN, limit=8.5),
    ]
    first = words(sent()["a"])
    assert all(np.mean(first == words(sent(plan)["a"])) < 1e-3 for plan in others)
    assert np.array_equal(first, words(sent()["a"]))


def test_a_masked_adapter_cannot_be_told_from_noise(sent):
    """An observer who knows two candidate adapters cannot tell which of them was sent."""
    states = {client: adapter(seed, 400_000) for seed, client in enumerate(CLIENTS)}
    other = adapter(9, 400_000)
    for one in (states, {**states, "a": other}, {**states, "a": {n: torch.zeros_like(t) for n, t in other.items()}}):
        seen = words(sent(states=one)["a"])
        counts = np.bincount(seen.view(np.uint8), minlength=256)
        assert chisquare(counts).pvalue > 1e-6
        for candidate in (states["a"], other):
            assert abs(np.corrcoef(seen, candidate["A"].numpy().ravel())[0, 1]) < 5 / np.sqrt(len(seen))


def test_the_sum_of_two_clients_of_three_is_noise_too(sent):
    states = {client: adapter(seed, 400_000) for seed, client in enumerate(CLIENTS)}
    answers = sent(states=states)
    seen = words(answers["a"]).view(np.uint32) + words(answers["b"]).view(np.uint32)
    assert chisquare(np.bincount(seen.view(np.uint8), minlength=256)).pvalue > 1e-6


def test_a_missing_client_is_refused(sent):
    answers = sent()
    with pytest.raises(ProtocolError, match="b did not answer, so the masks do not cancel"):
        unmask({client: answers[client] for client in "ac"}, PLAN)
    with pytest.raises(ProtocolError, match="d was not asked"):
        unmask({**answers, "d": answers["a"]}, PLAN)


def test_an_answer_to_another_sum_or_under_another_key_is_refused(sent, publics):
    stale = {**sent(), "c": sent(replace(PLAN, round="selected 0"))["c"]}
    forged = mask(adapter(2), PLAN, client="c", key=X25519PrivateKey.generate(), peers=publics).arrays
    for answers in (stale, {**sent(), "c": forged}):
        with pytest.raises(ProtocolError, match="the masks do not cancel, as"):
            unmask(answers, PLAN)


def test_misshapen_and_unmasked_answers_are_refused(sent):
    answers = sent()
    with pytest.raises(ProtocolError, match="c sent other arrays than a"):
        unmask({**answers, "c": {**answers["c"], "B": torch.zeros(4, dtype=torch.int32)}}, PLAN)
    with pytest.raises(ProtocolError, match="b sent other arrays than a"):
        unmask({**answers, "b": {name: t.float() for name, t in answers["b"].items()}}, PLAN)
    with pytest.raises(ProtocolError, match="not masked"):
        unmask({client: {"w": torch.zeros(2, dtype=torch.int32)} for client in CLIENTS}, PLAN)


def test_a_key_other_than_the_pinned_one_is_refused(publics):
    check_keys(publics, pinned=publics, clients=CLIENTS)
    forged = {**publics, "b": public_text(X25519PrivateKey.generate())}
    with pytest.raises(ProtocolError, match="another key for b"):
        check_keys(forged, pinned=publics, clients=CLIENTS)
    with pytest.raises(ProtocolError, match="the key of c is not pinned"):
        check_keys(publics, pinned={name: publics[name] for name in "ab"}, clients=CLIENTS)


def test_sums_that_would_show_one_adapter_are_refused():
    check_sum(PLAN, "a")
    with pytest.raises(ProtocolError, match="a has 100% of the sum"):
        check_sum(replace(PLAN, weights={"a": 1}), "a")
    with pytest.raises(ProtocolError, match="a has 99% of the sum"):
        check_sum(replace(PLAN, weights={"a": 99, "b": 1, "c": 0}), "a")
    with pytest.raises(ProtocolError, match="d is not in this sum"):
        check_sum(PLAN, "d")
    for weights in ({"a": 0, "b": 0}, {"a": -1, "b": 3}, {"a": float("nan"), "b": 1}):
        with pytest.raises(ProtocolError, match="weights must be 0 or more"):
            check_sum(replace(PLAN, weights=weights), "a")


def test_a_client_that_selected_nothing_has_weight_0(sent):
    plan = replace(PLAN, weights={"a": 1, "b": 1, "c": 0})
    mean = unmask(sent(plan), plan)
    assert torch.allclose(mean["A"], (adapter(0)["A"] + adapter(1)["A"]) / 2, atol=1e-6)


def test_masks_are_not_used_for_a_second_adapter(tmp_path):
    UsedMasks(tmp_path / "masks.json").claim(adapter(0), PLAN)
    again = UsedMasks(tmp_path / "masks.json")
    again.claim(adapter(0), PLAN)
    again.claim(adapter(0), replace(PLAN, round="selected 2"))
    again.claim(adapter(1), replace(PLAN, round="selected 3", weights={"a": 1, "b": 1}))
    with pytest.raises(ProtocolError, match="selected 1: has been answered with another adapter"):
        again.claim(adapter(1), PLAN)


def test_a_key_file_is_private_and_never_overwritten(tmp_path):
    path = tmp_path / "folder" / "mask.key"
    text = write_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert public_text(read_key(path)) == text
    with pytest.raises(ConfigError, match="exists"):
        write_key(path)


@pytest.mark.parametrize("content", [b"", b"no key"])
def test_a_broken_key_file_is_named(tmp_path, content):
    (tmp_path / "mask.key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"mask\.key"):
        read_key(tmp_path / "mask.key")


def test_a_public_key_that_is_none(keys):
    with pytest.raises(ConfigError, match="public key of b is not 32 bytes"):
        mask(adapter(0), replace(PLAN, weights={"a": 1, "b": 1}), client="a", key=keys["a"], peers={"b": "e30="})


def test_sums_whose_difference_would_show_a_client_are_refused(tmp_path):
    UsedMasks(tmp_path / "masks.json").claim(adapter(0), PLAN)
    smaller = replace(PLAN, round="again", weights={"a": 40, "b": 14})
    with pytest.raises(ProtocolError, match="again: this adapter was in a sum with other clients or weights"):
        UsedMasks(tmp_path / "masks.json").claim(adapter(0), smaller)
    UsedMasks(tmp_path / "masks.json", allow_changes=True).claim(adapter(0), smaller)
