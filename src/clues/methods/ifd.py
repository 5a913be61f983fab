"""Instruction-following difficulty (IFD; Li et al., arXiv 2308.12032): how much the prompt helps the response."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from clues.data.tokens import Tokens, TokenTable
from clues.methods.interface import Job, Scores
from clues.models.base import Base
from clues.models.trajectory import Trained
from clues.passes.losses import response_losses
from clues.passes.passes import Passes


def score(job: Job, trained: Trained, passes: Passes) -> Scores:
    """−L(response | prompt) / L(response). Both losses are means over the response's tokens."""
    alone = response_losses(without_prompts(job.scored, job.base), passes)
    return Scores(score=-response_losses(last_responses(job), passes) / alone)


def last_responses(job: Job) -> TokenTable:
    """The scored samples with the loss on the last response only."""
    return TokenTable(replace(t, earlier=()) for t in job.scored)


def without_prompts(samples: Iterable[Tokens], base: Base) -> TokenTable:
    """The last responses alone, after the token that starts a text."""
    tokenizer = base.tokenizer
    start = tokenizer.eos_token_id if tokenizer.bos_token_id is None else tokenizer.bos_token_id
    return TokenTable(t.after([start]) for t in samples)
