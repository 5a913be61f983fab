"""Multiple-choice accuracy: a model's answer is the option of the highest likelihood after the prompt.

Both accuracies are those of the LM Evaluation Harness (github.com/EleutherAI/lm-evaluation-harness), `acc` and
`acc_norm`: options are compared by the sum of their tokens' log-likelihoods, or by this sum divided by the option's
number of characters, which does not favour short options.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clues.data.batches import Batch, batches
from clues.data.questions import by_question
from clues.data.tokens import Picked, Tokens
from clues.evaluation.figures import Values, by_domain
from clues.evaluation.test_set import HeldOut
from clues.models.likelihood import response_logits
from clues.passes.memory import in_halves
from clues.passes.numbers import check_numbers


def evaluate_choices(model: Any, tests: HeldOut, *, batch_tokens: int, what: str) -> Values:
    """Of each question, `accuracy` and `accuracy_norm` (by likelihood per character), 0 or 1; and `chance`, of a guess.

    Raises:
        ScoringError: a log-likelihood is not a number.
    """
    likelihoods = log_likelihoods(model, tests.options, groups=_groups(tests), batch_tokens=batch_tokens, what=what)
    check_numbers({"log-likelihood": likelihoods}, tests.options.id)
    measures: dict[str, list[float]] = {"accuracy": [], "accuracy_norm": [], "chance": []}
    for question, values in by_question(tests.questions, likelihoods.tolist()):
        per_character = [value / len(option) for value, option in zip(values, question.options, strict=True)]
        measures["accuracy"].append(float(values.index(max(values)) == question.right))
        measures["accuracy_norm"].append(float(per_character.index(max(per_character)) == question.right))
        measures["chance"].append(1 / len(values))
    return by_domain((question.sample.domain for question in tests.questions), measures)


def _groups(tests: HeldOut) -> list[list[int]]:
    """The rows of all options, in groups of a question's options that differ in their last token only."""
    groups: list[list[int]] = []
    row = 0
    for _, options in by_question(tests.questions, tests.options):
        of_question: dict[tuple[int, ...], list[int]] = {}
        for option in options:
            of_question.setdefault((option.response_start, *option.input_ids[:-1]), []).append(row)
            row += 1
        groups += of_question.values()
    return groups


def log_likelihoods(
    model: Any, options: Sequence[Tokens], *, groups: Sequence[list[int]], batch_tokens: int, what: str
) -> Tensor:
    """The log-likelihood of each option after its prompt, in nats, summed over its tokens: options, float32.

    Args:
        groups: all rows of `options`, in groups that differ in their last token only: one forward pass gives the
            likelihoods of a group, so the prompt of one-token options is read once.
    """
    result = torch.zeros(len(options))
    last = [[options[row].input_ids[-1] for row in group] for group in groups]

    def measure(batch: Batch) -> None:
        on_device = batch.to(model.device)
        rows, tokens, logits = response_logits(model, on_device.input_ids, on_device.attention_mask, on_device.labels)
        log_probs = logits.log_softmax(1)
        counts = torch.bincount(rows, minlength=len(batch.rows)).tolist()
        parts = zip(tokens.split(counts), log_probs.split(counts), strict=True)
        for group, (option, of_option) in zip(batch.rows, parts, strict=True):
            before_last = of_option[:-1].gather(1, option[:-1, None]).sum()
            result[groups[group]] = (before_last + of_option[-1, last[group]]).cpu()

    model.eval()
    with torch.no_grad():
        computed = Picked(options, [group[0] for group in groups])
        for batch in batches(computed, batch_size=64, batch_tokens=batch_tokens, what=what):
            in_halves(measure, batch)
    return result
