from __future__ import annotations

import pytest
import torch

from bundles import fit
from clues.data.batches import pad
from clues.data.prompts import tokenize
from clues.data.samples import parse_samples
from clues.errors import ProtocolError
from clues.merging import weights as merge_weights
from clues.merging.merging import merge_adapters
from clues.merging.weights import learn_weights
from clues.models.adapters import adapter_state, attached
from clues.models.likelihood import sample_losses
from clues.settings import DataSettings, LoraSettings, MergingSettings, TrainingSettings

LORA = LoraSettings(r=2, alpha=4)
QUESTION = [{"role": "user", "content": "what is defined"}]


@pytest.fixture(scope="module")
def public(base):
    answers = ["bone", "nerve heart", "rate of price", "option trade", "abnormal bone", "a fixed rate"]
    rows = [{"id": str(n), "context": QUESTION, "response": a, "domain": "d"} for n, a in enumerate(answers)]
    return tokenize(parse_samples(rows, "public"), base, DataSettings(max_tokens=64))


@pytest.fixture(scope="module")
def adapters(base, public):
    """The first is trained on the public samples, the others are random."""
    good = fit(base, LORA, public, TrainingSettings(steps=20, learning_rate=1e-2), seed=1)
    with attached(base, LORA) as model:
        shapes = {n: t.shape for n, t in adapter_state(model).items()}
    generator = torch.Generator().manual_seed(1)
    others = [{n: torch.randn(s, generator=generator) for n, s in shapes.items()} for _ in range(2)]
    return [good, *others]


def merge(base, states, weights, settings):
    return merge_adapters(base, [(s, LORA) for s in states], weights=weights, settings=settings, seed=1)


def merged_loss(base, adapters, weights, public, settings):
    """Mean loss of the exact merge itself, as PEFT makes it."""
    state, lora = merge(base, adapters, weights, settings.model_copy(update={"method": "exact"}))
    batch = pad(public)
    with attached(base, lora, state) as model, torch.no_grad():
        return float(sample_losses(model.eval(), batch.input_ids, batch.attention_mask, batch.labels).mean())


def with_settings(states):
    return [(state, LORA) for state in states]


def test_the_adapter_that_knows_the_public_samples_weighs_most(base, adapters, public):
    settings = MergingSettings(weights="learned")
    weights = learn_weights(base, with_settings(adapters), tokens=public, settings=settings)
    assert sum(weights) == pytest.approx(1)
    assert weights[0] > 0.5 > max(weights[1:])
    assert min(weights) > 0
    learned, equal = (merged_loss(base, adapters, w, public, settings) for w in (weights, [1, 1, 1]))
    assert learned < equal


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_first_step_follows_the_gradient_of_the_merged_loss(base, adapters, public, scale):
    """θ starts at 0, and Adam's first step is the learning rate against the sign of the gradient."""
    rate, tiny = 0.02, 1e-2
    settings = MergingSettings(weights="learned", scale=scale, weight_steps=1, weight_learning_rate=rate)
    signs = []
    for k in range(3):
        losses = []
        for step in (tiny, -tiny):
            theta = torch.zeros(3)
            theta[k] = step
            losses.append(merged_loss(base, adapters, theta.softmax(0).tolist(), public, settings))
        signs.append(1.0 if losses[0] > losses[1] else -1.0)
    expected = (-rate * torch.tensor(signs)).softmax(0)
    assert learn_weights(base, with_settings(adapters), tokens=public, settings=settings) == pytest.approx(
        expected.tolist(), abs=1e-4
    )


@pytest.mark.parametrize(("losses", "best"), [([1.0, 2.0, 0.5, 3.0], 2), ([1.0, 2.0, 3.0, 4.0], 0)])
def test_the_best_weights_on_the_way_are_kept(base, adapters, public, monkeypatch, losses, best):
    met = []

    def overshoot(_model, theta, **_):
        theta.grad = torch.tensor([-1.0, 0.0, 1.0])
        met.append(theta.detach().softmax(0).tolist())
        return losses[len(met) - 1]

    monkeypatch.setattr(merge_weights, "_add_gradient", overshoot)
    weights = learn_weights(
        base, with_settings(adapters), tokens=public, settings=MergingSettings(weights="learned", weight_steps=3)
    )
    assert len(met) == 4
    assert weights == pytest.approx(met[best])
    assert met[0] == pytest.approx([1 / 3] * 3)


def test_the_same_weights_again_whatever_the_batches_and_a_bare_base(base, adapters, public):
    settings = MergingSettings(weights="learned", weight_steps=5)
    one, two = (learn_weights(base, with_settings(adapters), tokens=public, settings=settings) for _ in range(2))
    assert one == two
    small = learn_weights(base, with_settings(adapters), tokens=public, settings=settings, batch_tokens=1)
    assert small == pytest.approx(one, abs=1e-4)
    assert not any("lora" in name for name, _ in base.model.named_modules())


def test_a_loss_that_is_no_number_is_told(base, adapters, public):
    broken = [{n: t * float("nan") for n, t in state.items()} for state in adapters]
    with pytest.raises(ProtocolError, match=r"merging\.weights: the loss is nan"):
        learn_weights(base, with_settings(broken), tokens=public, settings=MergingSettings(weights="learned"))
