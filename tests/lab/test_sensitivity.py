"""The sensitivity of the default score, from features that runs stored."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parents[2] / "experiments"))
import sensitivity

from clues.methods.default import groups
from clues.methods.default.columns import FEATURES


def owner(seed: int = 1) -> sensitivity.Owner:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(40, len(FEATURES), generator=generator, dtype=torch.float64)
    features[20:, 1] -= 4  # only likeness shows what is bad
    clean = torch.randn(12, len(FEATURES), generator=generator, dtype=torch.float64)
    return sensitivity.Owner("made", f"owner-{seed}", features, clean, [""] * 20 + ["refusal"] * 20)


def test_leaving_out_the_feature_that_matters_costs_auroc():
    lines = {
        line.split(" | ")[0].strip("| "): line.split(" | ") for line in sensitivity.sensitivity([owner()]).splitlines()
    }
    assert float(lines["nothing"][1]) > 0.8 > float(lines["without likeness"][1])
    assert groups.DISTANCE == 3.0  # changed constants are put back


def test_revealed_labels_count_in_the_last_column_only():
    lines = [line.strip("| ").split(" | ") for line in sensitivity.reviewing([owner()]).splitlines()[2:]]
    assert [line[1] for line in lines] == ["0", "10", "20"]
    assert len(set(lines[0][2:])) == 1
    assert float(lines[2][4]) >= float(lines[2][3])


def test_weights_are_learnt_from_other_samples_than_they_rank():
    owners = [owner(seed) for seed in (1, 2)]
    assert float(sensitivity.within(owners)) > 0.95
    assert float(sensitivity.across(owners)) > 0.95
    unlabelled = [replace(one, kinds=["", "refusal"] * 20) for one in owners]  # labels say nothing of the features
    assert float(sensitivity.within(unlabelled)) < 0.65
    assert sensitivity.across(owners[:1]) == "–"


def test_other_draws_of_an_owner_teach_nothing_about_it():
    draws = [replace(owner(seed), name="same") for seed in (1, 2)]
    assert sensitivity.across(draws) == "–"
    assert sensitivity.across([*draws, owner(3)]) != "–"


def test_each_type_is_ranked_by_the_sum_and_by_weights_of_its_own():
    owners = [owner(seed) for seed in (1, 2)]
    head, _, *lines = [line.strip("| ").split(" | ") for line in sensitivity.by_type(owners).splitlines()]
    assert [line[:2] for line in lines] == [["refusal", "40"]]
    assert 0.8 < float(lines[0][2]) <= float(lines[0][3])
    assert len(head) == 4
