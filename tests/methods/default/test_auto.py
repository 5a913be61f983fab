"""The default score as a whole, on a tiny model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import clues.methods.default.features as measured
from bundles import job, scores, table
from clues.methods.default.columns import FEATURES
from clues.methods.default.score import UNSEPARATED, standardised
from clues.models.trajectory import Trained
from clues.passes.hidden import decoder_layers, hidden_states
from families import FAMILIES, family_base
from scoring_oracle import LORA, checkpoint, tokens

PARTS = tokens(7, 1), tokens(4, 4, prefix="a"), tokens(6, 2, prefix="v")


def auto(base, parts=PARTS, **scoring):
    return scores(job(base, *parts, scoring=scoring), Trained(LORA, [checkpoint(base)]))


def test_auto_is_the_same_for_any_batch_size_and_scores_anchors_too(base):
    columns = [auto(base, batch_size=size).columns for size in (2, 16)]
    assert len(columns[0]["score"]) == 11
    for name in columns[0]:
        assert torch.allclose(columns[0][name], columns[1][name], rtol=1e-4, atol=1e-4), name


def test_the_order_is_that_of_the_sum_of_features(base):
    found = auto(base)
    total = sum(feature.clamp(-4, 1.5) for feature in found.signals.values())
    assert list(found.signals) == list(FEATURES)
    assert found.score[:7].argsort().tolist() == total[:7].argsort().tolist()


def test_hidden_states_are_compared_as_written_out(base):
    def states(sample):
        with torch.no_grad():
            layers = base.model(input_ids=torch.tensor([sample.input_ids]), output_hidden_states=True).hidden_states
        state = layers[round(2 / 3 * (len(layers) - 1))][0]  # the first entry is the embeddings
        start, end = sample.response_start, len(state) - (sample.ends and len(sample.response) > 1)
        return state[start:end].mean(0), state[-1], state[:start].mean(0)

    private, anchors, validation = PARTS
    clean, found = [*anchors, *validation], auto(base)
    prompts = torch.stack([states(s)[2] for s in [*private, *clean]])
    variance, directions = torch.linalg.eigh(torch.cov(prompts.T))
    less = directions / (1 + variance / variance.mean())
    for place, name in ((0, "likeness"), (1, "ending")):
        own, shown = (torch.stack([states(s)[place] for s in part]) for part in (private, clean))
        centre = torch.cat([own, shown]).mean(0)
        others = [torch.cat([shown[:row], shown[row + 1 :]]).mean(0) for row in range(len(shown))]
        means = torch.stack([shown.mean(0)] * len(own) + others)
        cosines = torch.cosine_similarity((torch.cat([own, shown]) - centre) @ less, (means - centre) @ less)
        wanted = standardised(cosines[:, None], torch.zeros(17, dtype=torch.long), private=7)[:, 0]
        assert torch.allclose(found.signals[name], wanted[:11], atol=1e-3), name
        assert torch.allclose(found.validation[name], wanted[11:], atol=1e-3), name


def test_typicality_is_the_distance_from_the_loss_of_other_clean_samples(base):
    private, anchors, validation = PARTS
    clean = [*anchors, *validation]
    own, shown = (
        torch.tensor([float(base.model(input_ids=ids, labels=labels).loss) for ids, labels in map(loss_inputs, part)])
        for part in (private, clean)
    )
    others = [torch.cat([shown[:row], shown[row + 1 :]]).mean() for row in range(len(shown))]
    distances = -torch.cat([own - shown.mean(), shown - torch.stack(others)]).abs()
    wanted = standardised(distances[:, None], torch.zeros(17, dtype=torch.long), private=7)[:, 0]
    assert torch.allclose(auto(base).signals["typicality"], wanted[:11], atol=1e-3)


def loss_inputs(sample):
    ids = torch.tensor([sample.input_ids])
    return ids, torch.where(torch.arange(ids.shape[1]) < sample.response_start, -100, ids)


def test_a_large_client_is_compared_batch_by_batch_with_the_same_result(base, monkeypatch):
    whole = auto(base)
    monkeypatch.setattr(measured, "REFERENCE", 6)
    # One sample fewer in the mean of hidden states changes little; the others are compared in a second pass.
    by_batch = auto(base)
    assert torch.allclose(whole.signals["relevance"], by_batch.signals["relevance"], atol=1e-4)
    assert torch.corrcoef(torch.stack([whole.signals["likeness"], by_batch.signals["likeness"]]))[0, 1] > 0.8


@pytest.mark.parametrize("reference", [6, 512])
def test_all_features_but_agreement_are_of_the_last_response(base, monkeypatch, reference):
    monkeypatch.setattr(measured, "REFERENCE", reference)
    turns = [replace(each, earlier=((1, each.response_start),) if each.response_start > 1 else ()) for each in PARTS[0]]
    one, several = auto(base), auto(base, (turns, *PARTS[1:]))
    for name in FEATURES[1:]:
        assert torch.equal(one.signals[name], several.signals[name]), name
    assert not torch.equal(one.signals["agreement"], several.signals["agreement"])


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_hidden_states_are_those_of_transformers_in_several_kinds_of_model(name):
    model, ids = family_base(name).model, torch.tensor([[5, 6, 7]])
    with torch.no_grad(), hidden_states(model, 0) as collected:
        wanted = model(input_ids=ids, output_hidden_states=True).hidden_states
    assert len(decoder_layers(model)) == 2
    assert torch.equal(collected[0], wanted[1])


def test_where_we_cut_a_response_its_ending_says_nothing(base):
    private = [replace(sample, ends=False, truncated=True) for sample in PARTS[0][:3]]
    found = auto(base, (private, *PARTS[1:]))
    assert not found.signals["ending"][:3].any()
    assert found.signals["ending"][3:].any()


def test_alike_samples_are_not_divided_and_a_note_says_so(base):
    anchors = PARTS[1]
    private = [replace(anchors[n % 4], id=f"s{n}") for n in range(12)]
    found = auto(base, (private, *PARTS[1:]))
    assert found.note == UNSEPARATED
    assert (found.score > 0).all()


def test_features_are_in_units_of_the_anchors_of_a_samples_domain():
    values = torch.tensor([[5.0], [1.0], [torch.nan], [4.0], [6.0], [-1.0], [1.0]])
    domains = torch.tensor([0, 1, 0, 0, 0, 1, 1])
    found = standardised(values, domains, private=3)[:, 0]
    spread = ((1 + 1 + 1 + 1 + 0.25) / 4) ** 0.5  # of four anchors, and of private samples at 0 and 1 once more
    assert found.tolist() == pytest.approx([0, 1 / spread, 0, -1 / spread, 1 / spread, -1 / spread, 1 / spread])


def test_a_domain_without_anchors_is_centred_at_all_of_them():
    found = standardised(torch.tensor([[3.0], [1.0], [1.0]]), torch.tensor([1, 0, 0]), private=1)
    assert found[0] > 0


def test_a_sample_of_an_unknown_domain_is_compared_with_the_most_similar_one():
    rows = table([replace(PARTS[0][0], domain=name) for name in ("a", "other")])
    cosines = torch.tensor([[0.9, 0.1], [0.2, 0.3]])
    assert measured.nearest_domains(rows, ["a", "b"], cosines=cosines).tolist() == [0, 1]


def test_the_only_clean_sample_of_a_domain_has_nothing_to_be_compared_with(base):
    private, anchors, _ = PARTS
    lone = [replace(tokens(1, 2, prefix="v")[0], domain="alone")]
    assert not any(auto(base, (private, anchors, lone)).validation[name].any() for name in ("likeness", "agreement"))
