"""Floors: two numbers that no model computes. A method that does not beat them sees no more than a sample's form."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from clues.methods.interface import Job, Scores
from clues.models.trajectory import Trained
from clues.passes.passes import Passes


def length(job: Job, trained: Trained, passes: Passes) -> Scores:
    """The number of tokens of the response."""
    return Scores(score=torch.tensor([float(len(response)) for _, response in _tokens(job)]))


def overlap(job: Job, trained: Trained, passes: Passes) -> Scores:
    """The share of the response's tokens that the prompt has too."""
    shares = [sum(token in prompt for token in response) / max(len(response), 1) for prompt, response in _tokens(job)]
    return Scores(score=torch.tensor(shares))


def _tokens(job: Job) -> Iterator[tuple[set[int], list[int]]]:
    """(prompt, response) of each scored sample, without the end token, which says nothing."""
    for sample in job.scored:
        yield set(sample.full_prompt), sample.response[:-1] if sample.ends else sample.response
