"""Every strategy as a function of one round's answers."""

from __future__ import annotations

import pytest
import torch

from clues.collaboration.privacy.masks import MaskedSum, mask, unmask
from clues.collaboration.strategies import STRATEGIES, aggregator
from clues.errors import ConfigError, ModelError, ProtocolError
from clues.merging.updates import factored, lora_pairs, lora_state, products

CLIENTS = 5
ADAPTIVE = {"fedavgm", "fedadam", "fedyogi"}


def adapter(seed: int, size: float = 1.0):
    generator = torch.Generator().manual_seed(seed)
    return {
        f"q.lora_{part}.weight": size * torch.randn(shape, generator=generator)
        for part, shape in (("A", (2, 6)), ("B", (5, 2)))
    }


START = adapter(99)


def near(seed: int, size: float = 0.1):
    return {name: START[name] + t for name, t in adapter(seed, size).items()}


def answers(count: int = CLIENTS):
    return [(near(seed), float(seed + 1)) for seed in range(count)]


def stacked(given, name):
    return torch.stack([state[name] for state, _ in given])


def same(one, two) -> bool:
    return list(one) == list(two) and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_step_repeats_to_the_bit_changes_no_input_and_gives_float32(name):
    given, before = answers(), answers()
    one, two = (aggregator(name, clients=CLIENTS).step(1, START, given) for _ in range(2))
    assert same(one, two)
    assert all(t.dtype == torch.float32 and t.shape == START[n].shape for n, t in one.items())
    assert all(same(a, b) for (a, _), (b, _) in zip(given, before, strict=True))


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_order_of_tensors_in_an_answer_does_not_matter(name):
    turned = [(dict(reversed(state.items())), weight) for state, weight in answers()]
    one, two = (aggregator(name, clients=CLIENTS).step(1, START, given) for given in (answers(), turned))
    assert same(one, two)


@pytest.mark.parametrize("name", ["fedavg", "fedprox"])
def test_fedavg_is_the_weighted_mean(name):
    result = aggregator(name, clients=CLIENTS).step(1, START, answers())
    for key, value in result.items():
        expected = torch.einsum("k,k...->...", torch.tensor([1.0, 2, 3, 4, 5]) / 15, stacked(answers(), key))
        assert torch.allclose(value, expected, atol=1e-6)


def test_median_trimmed_mean_and_krum_withstand_a_client_that_scales_its_adapter():
    given = [*answers(4), ({name: 1e4 * t for name, t in near(9).items()}, 1e6)]
    for name in ("median", "trimmed-mean", "krum"):
        result = aggregator(name, clients=CLIENTS).step(1, START, given)
        assert all((result[key] - START[key]).abs().max() < 1 for key in START), name
    mean = aggregator("fedavg", clients=CLIENTS).step(1, START, given)
    assert any((mean[key] - START[key]).abs().max() > 1e3 for key in START)


def test_median_and_trimmed_mean_are_what_they_say():
    median = aggregator("median", clients=CLIENTS).step(1, START, answers())
    trimmed = aggregator("trimmed-mean", {"trim": 0.4}, clients=CLIENTS).step(1, START, answers())
    for key in START:
        assert torch.allclose(median[key], stacked(answers(), key).median(0).values)
        assert torch.allclose(trimmed[key], stacked(answers(), key).sort(0).values[2:3].mean(0))


def test_krum_chooses_one_client_even_if_updates_are_tiny():
    """In float32, distances between adapters that differ by 1e-5 would be rounding errors."""
    given = [({k: t + 1e-5 * near(seed)[k] for k, t in START.items()}, 1.0) for seed in range(4)]
    given.append(({k: t + 1e-3 for k, t in START.items()}, 1.0))
    result = aggregator("krum", clients=CLIENTS).step(1, START, given)
    assert sum(same(result, state) for state, _ in given[:4]) == 1


def test_adaptive_steps_follow_their_formulas():
    mean = aggregator("fedavg", clients=CLIENTS).step(1, START, answers())
    delta = {name: mean[name].double() - START[name].double() for name in START}
    momentum = aggregator("fedavgm", {"server_learning_rate": 0.5}, clients=CLIENTS).step(1, START, answers())
    options = {"server_learning_rate": 0.02, "beta_1": 0.8, "beta_2": 0.9, "tau": 1e-2}
    adam, yogi = (aggregator(n, options, clients=CLIENTS).step(1, START, answers()) for n in ("fedadam", "fedyogi"))
    rate = 0.02 * (1 - 0.9**2) ** 0.5 / (1 - 0.8**2)  # Flower's bias correction counts rounds from 1 more
    for name, d in delta.items():
        step = 0.2 * d / ((0.1 * d.square()).sqrt() + 1e-2)
        assert torch.allclose(momentum[name].double(), START[name] + 0.5 * d, atol=1e-6)
        assert torch.allclose(adam[name].double(), START[name] + rate * step, atol=1e-6)
        assert torch.allclose(yogi[name].double(), START[name] + 0.02 * step, atol=1e-6)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_run_that_is_resumed_from_saved_state_goes_on_to_the_bit(name):
    whole, halted = (aggregator(name, clients=CLIENTS) for _ in range(2))
    first = whole.step(1, START, answers())
    assert same(first, halted.step(1, START, answers()))
    saved = halted.state(START)
    assert bool(saved) == (name in ADAPTIVE)
    resumed = aggregator(name, clients=CLIENTS)
    resumed.restore({key: t.clone() for key, t in reversed(saved.items())}, START)
    assert same(whole.step(2, first, answers()), resumed.step(2, first, answers()))


def test_a_client_of_weight_0_does_not_count():
    idle = (START, 0.0)
    for name in ("fedavg", "median"):
        plain, with_idle = (aggregator(name, clients=5).step(1, START, g) for g in (answers(4), [*answers(4), idle]))
        assert same(plain, with_idle)
    with pytest.raises(ProtocolError, match="no client kept any sample"):
        aggregator("fedavg", clients=5).step(1, START, [idle])


def test_too_few_clients_are_refused_before_and_during_a_run():
    for name, options, reason in [
        ("krum", {"malicious": 2}, "krum withstands 2 liars among at least 7 clients, not among 5"),
        ("trimmed-mean", {"trim": 0.1}, "0.1 of 5 clients leaves out none"),
        ("trimmed-mean", {"trim": 0.5}, "0.5 of 2 clients"),
        ("median", {}, "the median of 2 clients"),
    ]:
        with pytest.raises(ConfigError, match=reason):
            aggregator(name, options, clients=2 if "of 2" in reason else 5)
    with pytest.raises(ProtocolError, match="not among 4"):
        aggregator("krum", clients=CLIENTS).step(1, START, answers(4))


def test_wrong_settings_are_told_together():
    with pytest.raises(
        ConfigError, match=r"server_momentum: has no effect .*\n.*exact is a mean.*\n.*beta_1: -1 is below"
    ):
        aggregator("fedadam", {"server_momentum": 0.9, "beta_1": -1}, clients=3, aggregation="exact")
    with pytest.raises(ConfigError, match="'fedsgd' is none of"):
        aggregator("fedsgd", clients=3)


def test_another_shape_is_refused():
    wrong = {**near(1), "q.lora_A.weight": torch.zeros(3, 6)}
    with pytest.raises(ProtocolError, match="other tensors"):
        aggregator("fedavg", clients=3).step(1, START, [*answers(2), (wrong, 1.0)])


def mean_product(given) -> torch.Tensor:
    total = sum(weight for _, weight in given)
    return sum(w / total * products(lora_pairs(state))["q"].double() for state, w in given)


def test_exact_aggregation_is_the_nearest_of_the_rank_to_the_mean_of_products():
    result = aggregator("fedavg", clients=CLIENTS, aggregation="exact").step(1, START, answers())
    assert {name: t.shape for name, t in result.items()} == {name: t.shape for name, t in START.items()}
    lost = torch.linalg.svdvals(mean_product(answers()))[2:].square().sum().sqrt()
    assert float(torch.dist(products(lora_pairs(result))["q"].double(), mean_product(answers()))) == pytest.approx(
        float(lost), rel=1e-5
    )
    separate = aggregator("fedavg", clients=CLIENTS).step(1, START, answers())
    assert torch.dist(products(lora_pairs(separate))["q"].double(), mean_product(answers())) > lost


def test_exact_aggregation_of_one_client_is_its_own_update():
    result = aggregator("fedavg", clients=1, aggregation="exact").step(1, START, answers(1))
    assert torch.allclose(products(lora_pairs(result))["q"], products(lora_pairs(near(0)))["q"], atol=1e-5)


def test_exact_aggregation_needs_plain_lora():
    given = [({**state, "bias": torch.zeros(1)}, weight) for state, weight in answers()]
    with pytest.raises(ModelError, match="other tensors than A and B"):
        aggregator("fedavg", clients=5, aggregation="exact").step(1, {**START, "bias": torch.zeros(1)}, given)


def test_exact_aggregation_under_masks():
    """The clients mask their products; the server factors the sum."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    from clues.collaboration.privacy.keys import public_text

    given = dict(zip("abcde", answers(), strict=True))
    keys = {client: X25519PrivateKey.generate() for client in given}
    peers = {client: public_text(key) for client, key in keys.items()}
    plan = MaskedSum("job", "round 1", {client: weight for client, (_, weight) in given.items()})
    sent = {
        client: mask(products(lora_pairs(state)), plan, client=client, key=keys[client], peers=peers).arrays
        for client, (state, _) in given.items()
    }
    result = lora_state(factored(unmask(sent, plan), 2))
    plain = aggregator("fedavg", clients=CLIENTS, aggregation="exact").step(1, START, answers())
    one, other = (products(lora_pairs(state))["q"] for state in (result, plain))
    assert torch.allclose(one, other, atol=1e-6)
