"""Every method against its formula, written out with plain autograd."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bundles import job, scores
from clues.data.layouts.identity import RESERVED_DOMAINS
from clues.data.tokens import Tokens
from clues.errors import ConfigError
from clues.io.store import Store
from clues.methods.registry import METHODS, method
from clues.models.adapters import attached
from clues.models.trajectory import Trained
from clues.passes.costs import measured
from clues.settings import ScoringSettings
from clues.silo.checked import CHECKED, DUPLICATE_OF, PUBLIC_COPY
from scoring_oracle import LORA, checkpoint, flat, plain_gradient, random_state, tokens, transformed

SAMPLES, ANCHORS, VALIDATION = tokens(6, 1), tokens(3, 4, prefix="a"), tokens(3, 2, prefix="v")
SCORED = [*SAMPLES, *ANCHORS]


def found(base, name, store=None, **settings):
    chosen = ScoringSettings(method=name, batch_size=4, **settings)
    given = job(base, SAMPLES, ANCHORS, VALIDATION, scoring=chosen)
    return scores(given, Trained(LORA, [checkpoint(base)]), store).columns


def loss(base, sample, ids=None, start=None) -> float:
    ids = torch.tensor([ids or sample.input_ids])
    labels = ids.clone()
    labels[0, : sample.response_start if start is None else start] = -100
    with torch.no_grad():
        return float(base.model(input_ids=ids, labels=labels).loss)


def gradients(base, samples):
    with attached(base, LORA, random_state(base)) as model:
        model.eval()
        return [plain_gradient(model, sample) for sample in samples]


def test_perplexity_ifd_and_ira(base):
    given = torch.tensor([loss(base, s) for s in SCORED])
    alone = torch.tensor([loss(base, s, [0, *s.input_ids[s.response_start :]], 1) for s in SCORED])
    assert torch.allclose(found(base, "ppl")["score"], -given.exp(), rtol=1e-4)
    assert torch.allclose(found(base, "ifd")["score"], -given / alone, rtol=1e-4)
    assert torch.allclose(found(base, "ira")["score"], alone - given, atol=1e-4)


def test_rho_is_the_loss_that_the_given_adapter_removes(base):
    before = torch.tensor([loss(base, s) for s in SCORED])
    with attached(base, LORA, random_state(base)) as model:
        model.eval()
        after = torch.tensor([loss(base, s) for s in SCORED])
    assert torch.allclose(found(base, "rho")["score"], before - after, atol=1e-4)
    assert METHODS["rho"].trajectory == "validation"


def test_rds_is_the_greatest_cosine_of_position_weighted_last_hidden_states(base):
    def embedded(sample):
        with torch.no_grad():
            states = base.model(input_ids=torch.tensor([sample.input_ids]), output_hidden_states=True).hidden_states[-1]
        weights = torch.arange(1.0, len(sample.input_ids) + 1)
        return (weights[:, None] * states[0]).sum(0)

    pool, queries = (torch.stack([embedded(s) for s in part]) for part in (SCORED, VALIDATION))
    cosines = torch.cosine_similarity(pool[:, None], queries[None], dim=-1)
    columns = found(base, "rds")
    assert torch.allclose(columns["score"], cosines.amax(1), atol=1e-5)
    for domain in {s.domain for s in VALIDATION}:
        of_domain = torch.tensor([s.domain == domain for s in VALIDATION])
        assert torch.allclose(columns[domain], cosines[:, of_domain].amax(1), atol=1e-5)


def test_methods_take_over_each_others_passes_of_the_base_model(base, tmp_path):
    store = Store(tmp_path)
    for name, shards in (("ppl", 1), ("ifd", 2), ("ppl", 2)):
        assert torch.allclose(found(base, name, store)["score"], found(base, name)["score"])
        assert len(list((tmp_path / "passes").iterdir())) == shards


def test_datainf(base):
    every, validation = gradients(base, SCORED), gradients(base, VALIDATION)
    wanted = torch.zeros(len(every), dtype=torch.float64)
    for name in every[0]:
        g = torch.stack([one[name].flatten() for one in every]).double()
        v = torch.stack([one[name].flatten() for one in validation]).double().mean(0)
        own = g[: len(SAMPLES)]
        damping = 0.1 * own.square().sum(1).mean() / v.numel()
        inverse = torch.zeros_like(v)
        for one in own:
            inverse += (v - (v @ one) / (damping + one @ one) * one) / (len(own) * damping)
        wanted += g @ inverse
    ours = found(base, "datainf")["score"].double()
    assert (ours - wanted).abs().max() <= 1e-4 * wanted.abs().max()


def test_less_is_the_cosine_of_adam_directions_with_the_plain_validation_gradient(base):
    point = checkpoint(base)
    v = torch.stack([flat(one) for one in gradients(base, VALIDATION)]).mean(0)
    every = torch.stack([flat(transformed(point, "adam", one)) for one in gradients(base, SCORED)])
    wanted = torch.cosine_similarity(every, v[None])
    assert torch.allclose(found(base, "less")["score"].double(), wanted, atol=1e-5)


def test_loss_norm_and_paper_are_columns_of_the_gradient_method(base):
    columns = found(base, "clues")
    assert torch.equal(found(base, "loss")["score"], -columns["loss"])
    assert torch.equal(found(base, "gradient-norm")["score"], -columns["norm"])
    assert torch.allclose(found(base, "paper", preconditioner="adam")["score"], columns["paper"])


def test_combined_puts_both_signals_against_the_anchors(base):
    cosine = found(base, "clues")["cosine"]
    given = torch.tensor([loss(base, s) for s in SCORED])
    z = [(x - x[6:].mean()) / x[6:].std(correction=0) for x in (cosine, given)]
    columns = found(base, "combined")
    assert torch.allclose(columns["score"], z[0] - z[1], atol=1e-3)
    assert columns["score"][6:].mean().abs() < 1e-4


def test_floors_count_the_tokens_of_a_response_without_its_end(base):
    whole, cut = Tokens("a", "d", [7, 8, 9, 7, 7, 5, 2], 3, False), Tokens("b", "d", [7, 8, 5], 2, True, ends=False)
    shortened = replace(cut, prompt=[5, 7, 8])
    given = job(base, [whole, cut, shortened], [], VALIDATION, scoring=ScoringSettings(method="length"))
    assert scores(given, Trained(LORA, [])).score.tolist() == [3, 1, 1]
    shares = scores(given.with_scoring(method="overlap"), Trained(LORA, [])).score
    assert torch.allclose(shares, torch.tensor([2 / 3, 0, 1]))


def test_random_repeats(base):
    assert torch.equal(found(base, "random")["score"], found(base, "random")["score"])


@pytest.mark.parametrize("name", list(METHODS))
def test_no_domain_can_have_the_name_of_a_methods_column(base, name):
    domains = {sample.domain for sample in VALIDATION}
    assert set(found(base, name)) - domains <= RESERVED_DOMAINS


def test_no_domain_can_have_the_name_of_a_column_of_checks():
    assert {CHECKED, DUPLICATE_OF, PUBLIC_COPY} <= RESERVED_DOMAINS


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_scores_samples_and_anchors_and_says_where_it_is_from(base, name):
    assert found(base, name)["score"].shape == (9,)
    assert METHODS[name].source


def test_unknown_methods_are_told_with_all_known_ones():
    with pytest.raises(ConfigError, match="'magic' is not known; use one of auto, clues, paper"):
        method("magic")


@pytest.mark.parametrize("name", METHODS)
def test_what_a_method_says_that_it_costs_is_what_a_sample_costs(base, name):
    counts = []
    for samples in (SAMPLES, tokens(8, 1)):
        given = job(base, samples, ANCHORS, VALIDATION, scoring=ScoringSettings(method=name))
        with measured(base) as cost:
            scores(given, Trained(LORA, [checkpoint(base, seed=seed) for seed in (1, 2)]))
        counts.append((cost.forward, cost.backward))
    (forward, backward), (more_forward, more_backward) = counts
    gradients = METHODS[name].gradients * (2 if METHODS[name].checkpoints == "each" else 1)
    assert (more_backward - backward, more_forward - forward) == (
        2 * gradients,
        2 * (gradients + METHODS[name].forwards),
    )
