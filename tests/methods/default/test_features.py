"""What likelihoods say of a response: against plain transformers."""

from __future__ import annotations

import pytest
import torch

from bundles import passes
from clues.data.tokens import Tokens
from clues.methods.default.features import after_other_prompt, likelihood_features
from scoring_oracle import tokens


def test_other_prompts_are_of_the_own_domain_and_never_the_own():
    public = [Tokens(str(n), "ab"[n % 2], [n, 100, 7], 2, False) for n in range(6)]
    prompts = [sample.input_ids[:2] for sample in public]
    for before in public:
        after = after_other_prompt(before, public, prompts=prompts)
        assert after.input_ids[0] != before.input_ids[0]
        assert after.input_ids[0] % 2 == before.input_ids[0] % 2
        assert after.input_ids[after.response_start :] == before.input_ids[before.response_start :]


def response_losses(base, sample):
    ids = torch.tensor([sample.input_ids])
    with torch.no_grad():
        logits = base.model(input_ids=ids).logits[0].log_softmax(-1)
    positions = range(sample.response_start, len(sample.input_ids))
    return torch.tensor([-float(logits[p - 1, sample.input_ids[p]]) for p in positions])


def test_readings_of_token_losses_against_transformers(base):
    sample = tokens(1, 3)[0]
    public = tokens(4, 4, prefix="p")
    other = after_other_prompt(sample, public, prompts=[p.input_ids[: p.response_start] for p in public])
    found = likelihood_features([sample], domains=["d"], public=public, passes=passes(base))
    losses, after_another = response_losses(base, sample), response_losses(base, other)
    highest = losses.sort(descending=True).values[: max(1, len(losses) // 4)]
    gains = (after_another - losses)[:-1]
    wanted = {"loss": losses[:-1].mean(), "peak": highest.mean(), "end": losses[-1]}
    wanted |= {"gain": gains.mean(), "peak gain": gains.max()}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(
        {name: float(value) for name, value in wanted.items()}, rel=1e-4, abs=1e-6
    )
