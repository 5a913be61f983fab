"""Instruction-following difficulty (IFD; Li et al., arXiv 2308.12032): how much the prompt helps the response."""

from __future__ import annotations

from dataclasses import replace

from clues.data.tokens import TokenTable
from clues.methods.interface import Job, Scores
from clues.models.trajectory import Trained
from clues.passes.losses import response_losses
from clues.passes.passes import Passes


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """−L(response | prompt) / L(response). Both losses are means over the response's tokens."""
    given, alone = without_prompts(job)
    return Scores(score=-response_losses(given, passes) / response_losses(alone, passes))


def without_prompts(job: Job) -> tuple[TokenTable, TokenTable]:
    """The scored samples with the loss on the last response only, and their responses alone."""
    tokenizer = job.base.tokenizer
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    given = TokenTable(replace(t, earlier=()) for t in job.scored)
    alone = TokenTable(replace(t, input_ids=[start, *t.response], response_start=1) for t in given)
    return given, alone
