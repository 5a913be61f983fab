"""Greedily generated answers to held-out prompts, compared with their references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import mean
from typing import Any

import torch

from clues.data.batches import batches
from clues.data.cutting import cut_prompt
from clues.data.tokens import Tokens
from clues.evaluation.overlap import rouge_l, token_f1
from clues.evaluation.tests import Tests
from clues.models.base import Base
from clues.settings import EvaluationSettings


def evaluate_answers(model: Any, tests: Tests, settings: EvaluationSettings, *, what: str) -> dict[str, Any]:
    """By domain: `token_f1` and `rouge_l` (means over answers, 0 to 1), `answers` (how many were generated).

    Args:
        settings: `generate` is the most tokens of an answer; `generate_samples` how many of each domain, the first.

    Raises:
        ConfigError: the package rouge-score is not installed.
    """
    rows = _first_of_each(tests.tokens, settings.generate_samples)
    chosen = [tests.tokens[row] for row in rows]
    answers = generate(model, tests.base, chosen, settings=settings, what=what)
    figures: dict[str, list[tuple[float, float]]] = {}
    for row, answer in zip(rows, answers, strict=True):
        reference = tests.samples[row].response
        figures.setdefault(tests.samples[row].domain, []).append(
            (token_f1(answer, reference), rouge_l(answer, reference))
        )
    return {
        domain: {"token_f1": mean(f for f, _ in pairs), "rouge_l": mean(r for _, r in pairs), "answers": len(pairs)}
        for domain, pairs in sorted(figures.items())
    }


def generate(model: Any, base: Base, tokens: Sequence[Tokens], *, settings: EvaluationSettings, what: str) -> list[str]:
    """The model's greedy answer to the prompt of every sample, in the order of `tokens`.

    The prompt is the one of training, cut where it and the answer would not fit into the model or the tests' limit;
    how long the reference is plays no part. Prompts are padded on the left, so that all answers of a batch start at
    its last position.
    """
    from transformers import GenerationConfig

    max_new_tokens, batch_tokens = settings.generate, settings.batch_tokens
    prompts = [Tokens(t.id, t.domain, _prompt(t, base, max_new_tokens), 0, t.truncated) for t in tokens]
    ends = _end_tokens(model, base)
    greedy = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=False,
        use_cache=True,
        repetition_penalty=1.0,  # what a model's own configuration asks for would not be greedy
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


def _prompt(test: Tokens, base: Base, max_new_tokens: int) -> list[int]:
    whole = test.prompt or test.input_ids[: test.response_start]
    room = min(test.limit or len(whole), (base.positions or len(whole) + max_new_tokens) - max_new_tokens)
    return cut_prompt(whole, max(room, 1))


def _padded_left(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The padding of every row moved from its right to its left: batch × tokens, both."""
    width = mask.shape[1]
    source = (torch.arange(width) + mask.sum(1, keepdim=True)) % width
    return ids.gather(1, source), mask.gather(1, source)


def _until(sequence: list[int], ends: Sequence[int]) -> list[int]:
    stop = next((place for place, token in enumerate(sequence) if token in ends), len(sequence))
    return sequence[:stop]


def _end_tokens(model: Any, base: Base) -> list[int]:
    """Where an answer ends: the end of a training response, and what the model's own configuration names."""
    named = model.generation_config.eos_token_id
    listed = named if isinstance(named, list) else [named]
    return list(dict.fromkeys(token for token in (base.tokenizer.eos_token_id, *listed) if token is not None))


def _first_of_each(tokens: Sequence[Tokens], count: int | None) -> list[int]:
    """Rows of the first `count` samples of each domain, all of them where it is None."""
    seen: Counter[str] = Counter()
    rows = []
    for row, item in enumerate(tokens):
        seen[item.domain] += 1
        if count is None or seen[item.domain] <= count:
            rows.append(row)
    return rows
