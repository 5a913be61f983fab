"""Instruction-following difficulty (IFD; Li et al., arXiv 2308.12032): how much the prompt helps the response."""

from __future__ import annotations

from dataclasses import replace

from clues.data.tokens import TokenTable
from clues.methods.interface import Job, Scores
from clues.methods.perplexity import base_losses
from clues.models.trajectory import Trained
from clues.passes.passes import Passes


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """−L(response | prompt) / L(response). Both losses are means over the response's tokens."""
    tokenizer = job.base.tokenizer
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    with_prompt = TokenTable(replace(t, earlier=()) for t in job.scored)
    without_prompt = TokenTable(replace(t, input_ids=[start, *t.response], response_start=1) for t in with_prompt)
    return Scores(score=-base_losses(with_prompt, passes) / base_losses(without_prompt, passes))
