"""Batched scores against plain autograd, one sample at a time."""

from __future__ import annotations

import pytest
import torch

from bundles import score
from clues.data.batches import batches, pad
from clues.errors import ConfigError, ScoringError
from clues.models.adapters import attached, lora_modules
from clues.models.trajectory import Checkpoint
from clues.passes.gradients import Gradients, add_gradients, zero_directions
from clues.settings import ScoringSettings
from scoring_oracle import LORA, checkpoint, flat, plain_gradient, random_state, tokens, transformed

TOLERANCE = 1e-5


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("preconditioner", ["none", "adam-frozen", "adam"])
@pytest.mark.parametrize("apply_to", ["both", "train"])
def test_scores_equal_plain_autograd(base, similarity, preconditioner, apply_to):
    samples = tokens(7, 1)
    validation = tokens(3, 2, "one", "v") + tokens(2, 3, "two", "w")
    points = [checkpoint(base, 0.5), checkpoint(base, 0.25, seed=4)]
    settings = ScoringSettings(
        similarity=similarity,
        preconditioner=preconditioner,
        apply_to=apply_to,
        domain_weights={"two": 2.0},
        batch_size=3,
    )
    ours = score(base, points, LORA, samples, validation, settings)
    expected, by_domain = torch.zeros(7, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)
    for point in points:
        with attached(base, LORA, point.state) as model:
            model.eval()

            def vector(sample, name):
                return flat(transformed(point, name, plain_gradient(model, sample)))  # noqa: B023

            side = preconditioner if apply_to == "both" else "none"
            parts = {
                d: torch.stack([vector(s, side) for s in validation if s.domain == d]).mean(0) for d in ("one", "two")
            }
            v = parts["one"] + 2 * parts["two"]
            for row, sample in enumerate(samples):
                g = vector(sample, preconditioner)
                rate = point.learning_rate / (1 if similarity == "dot" else 0.75)
                scale = (lambda u: 1.0) if similarity == "dot" else (lambda u: float(g.norm() * u.norm()))  # noqa: B023
                expected[row] += rate * float(g @ v) / scale(v)
                by_domain[row] += rate * float(g @ parts["two"]) / scale(parts["two"])
    assert expected.abs().max() > 0
    for found, wanted in ((ours["score"], expected), (ours["two"], by_domain)):
        assert (found.double() - wanted).abs().max() <= TOLERANCE * wanted.abs().max()


def test_contrast_takes_the_mean_gradient_of_the_own_samples_off(base):
    samples, validation = tokens(7, 1), tokens(3, 2, "one", "v") + tokens(2, 3, "two", "w")
    settings = ScoringSettings(similarity="dot", domain_weights={"two": 2.0}, contrast=64)
    ours = score(base, [checkpoint(base, 0.5)], LORA, samples, validation, settings, own=samples)
    with attached(base, LORA, random_state(base)) as model:
        model.eval()
        own = torch.stack([flat(plain_gradient(model, s)) for s in samples])
        one, two = (
            torch.stack([flat(plain_gradient(model, s)) for s in validation if s.domain == d]).mean(0)
            for d in ("one", "two")
        )
    for name, direction in (
        ("score", one + 2 * two - 3 * own.mean(0)),
        ("two", two - own.mean(0)),
        ("paper", one + 2 * two),
    ):
        wanted = 0.5 * own @ direction
        assert (ours[name].double() - wanted).abs().max() <= TOLERANCE * wanted.abs().max()
    assert torch.allclose(ours["norm"].double(), own.norm(dim=1), rtol=TOLERANCE)


def test_sum_of_sample_gradients_is_the_batch_gradient(base):
    samples = tokens(5, 1)
    with attached(base, LORA, random_state(base)) as model:
        model.eval()
        total = sum(flat(plain_gradient(model, sample)) for sample in samples)
        model.requires_grad_(False)
        modules = lora_modules(model)
        ours = zero_directions(modules, 1)
        add_gradients(Gradients(model, modules), pad(samples), weights=torch.ones(5, 1), into=ours)
        assert set(ours) == set(Gradients(model, modules).names)
    assert len(modules) == 6
    assert torch.allclose(flat(ours), total, rtol=1e-5, atol=1e-6 * float(total.abs().max()))


def test_batch_size_changes_nothing(base):
    samples, validation = tokens(9, 1), tokens(3, 2)
    results = [
        score(base, [checkpoint(base)], LORA, samples, validation, ScoringSettings(similarity="dot", batch_size=size))
        for size in (1, 4, 9)
    ]
    for other in results[1:]:
        assert torch.allclose(results[0]["score"], other["score"], rtol=1e-5, atol=1e-8)


def test_a_module_glob_selects_only_its_modules_and_never_all(base):
    with attached(base, LORA) as model:
        first = lora_modules(model, "*.layers.0.*")
        assert len(first) == 3
        assert all(".layers.0." in module.name for module in first)
        with pytest.raises(ConfigError, match=r"scoring.modules: '\*.nothing.\*' matches no adapter module"):
            lora_modules(model, "*.nothing.*")


def test_a_loss_that_is_no_number_names_the_sample(base):
    state = {name: torch.full_like(t, float("nan")) for name, t in random_state(base).items()}
    with pytest.raises(ScoringError, match="sample 's"):
        score(base, [Checkpoint(state, 1.0)], LORA, tokens(2, 1), tokens(2, 2), ScoringSettings())


def test_batches_group_by_length_and_keep_every_row():
    rows = tokens(20, 5)
    seen = []
    for batch in batches(rows, batch_size=4, batch_tokens=60):
        widths = [len(rows[row].input_ids) for row in batch.rows]
        assert len(batch.rows) == 1 or max(widths) * len(widths) <= 60
        seen += batch.rows
    assert sorted(seen) == list(range(20))
