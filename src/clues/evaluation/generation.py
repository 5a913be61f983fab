"""Greedy answers to held-out prompts, compared with reference responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch

from clues.data.batches import batches
from clues.data.cutting import cut_prompt
from clues.data.samples import Sample
from clues.data.tokens import Tokens
from clues.evaluation.figures import Values, by_domain
from clues.evaluation.overlap import exact_match, rouge_l, token_f1
from clues.evaluation.test_set import HeldOut
from clues.models.base import Base
from clues.settings import EvaluationSettings


def evaluate_answers(answers: Sequence[str], answered: Sequence[Sample]) -> Values:
    """`exact_match`, `token_f1` and `rouge_l` of each answer, 0 to 1.

    Args:
        answered: the test of each answer.

    Raises:
        ConfigError: the package rouge-score is not installed.
    """
    pairs = [(answer, sample.response) for answer, sample in zip(answers, answered, strict=True)]
    measures = {"exact_match": exact_match, "token_f1": token_f1, "rouge_l": rouge_l}
    return by_domain(
        (sample.domain for sample in answered),
        {name: [agreement(*pair) for pair in pairs] for name, agreement in measures.items()},
    )


def generate(model: Any, base: Base, tokens: Sequence[Tokens], *, settings: EvaluationSettings, what: str) -> list[str]:
    """The model's greedy answer to the prompt of each sample, in the order of `tokens`.

    Prompts are rendered as in training, cut if prompt and answer exceed the model's positions or the tests' limit
    (whatever the length of the reference), and padded on the left, so that the answers of a batch start together.
    """
    from transformers import GenerationConfig

    max_new_tokens, batch_tokens = settings.generate, settings.batch_tokens
    prompts = [
        Tokens(t.id, t.domain, _prompt(t, base, max_new_tokens=max_new_tokens), response_start=0, truncated=t.truncated)
        for t in tokens
    ]
    ends = _end_tokens(model, base)
    greedy = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        use_cache=True,
        repetition_penalty=1.0,  # a penalty in the model's configuration would not be greedy decoding
        eos_token_id=ends,
        pad_token_id=ends[0] if ends else 0,
    )
    longest = max(len(prompt.input_ids) for prompt in prompts) + max_new_tokens
    answers = [""] * len(tokens)
    model.eval()
    for batch in batches(prompts, batch_size=max(1, batch_tokens // longest), batch_tokens=batch_tokens, what=what):
        ids, mask = _padded_left(batch.input_ids, batch.attention_mask)
        with torch.no_grad():
            output = model.generate(
                input_ids=ids.to(base.device), attention_mask=mask.to(base.device), generation_config=greedy
            )
        for row, sequence in zip(batch.rows, output[:, ids.shape[1] :].tolist(), strict=True):
            answers[row] = base.tokenizer.decode(_until(sequence, ends), skip_special_tokens=True).strip()
    return answers


def _prompt(test: Tokens, base: Base, *, max_new_tokens: int) -> list[int]:
    prompt = test.full_prompt
    room = min(test.limit or len(prompt), (base.positions or len(prompt) + max_new_tokens) - max_new_tokens)
    return cut_prompt(prompt, max(room, 1))


def _padded_left(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Move the padding of each row from right to left: batch × tokens, both."""
    width = mask.shape[1]
    source = (torch.arange(width) + mask.sum(1, keepdim=True)) % width
    return ids.gather(1, source), mask.gather(1, source)


def _until(sequence: list[int], ends: Sequence[int]) -> list[int]:
    stop = next((place for place, token in enumerate(sequence) if token in ends), len(sequence))
    return sequence[:stop]


def _end_tokens(model: Any, base: Base) -> list[int]:
    """The tokens that end an answer: the tokenizer's, as in training, and those of the model's configuration."""
    configured = model.generation_config.eos_token_id
    configured = configured if isinstance(configured, list) else [configured]
    return list(dict.fromkeys(token for token in (base.tokenizer.eos_token_id, *configured) if token is not None))


def answered_rows(tests: HeldOut, count: int | None) -> list[int]:
    """Which tests are answered: rows of the first `count` samples of each domain, or of all samples if it is None."""
    seen: Counter[str] = Counter()
    rows = []
    for row, sample in enumerate(tests.samples):
        seen[sample.domain] += 1
        if count is None or seen[sample.domain] <= count:
            rows.append(row)
    return rows
