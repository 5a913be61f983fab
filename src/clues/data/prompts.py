"""The one rendering of a sample as tokens, for training, scoring and evaluation alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from clues.data.dialects import Message
from clues.data.samples import Sample
from clues.errors import DataError
from clues.models.base import Base
from clues.progress import say
from clues.settings import DataSettings

Tokenizer = Any  # transformers.PreTrainedTokenizerBase
_PLAIN = "### {role}:\n{content}\n\n"


@dataclass(frozen=True)
class Tokens:
    """A sample as tokens; those from `response_start` on are the response."""

    id: str
    domain: str
    input_ids: list[int]
    response_start: int
    truncated: bool

    @property
    def response_tokens(self) -> int:
        """Tokens that carry loss: the first token of a sequence is predicted by nothing."""
        return len(self.input_ids) - max(self.response_start, 1)


def render(tokenizer: Tokenizer, context: Sequence[Message], response: str) -> tuple[str, str]:
    """(prompt text, response text), by the model's own chat template where it has one."""
    if not tokenizer.chat_template:
        prompt = "".join(_PLAIN.format(role=m["role"].capitalize(), content=m["content"]) for m in context)
        return prompt + "### Response:\n", response + (tokenizer.eos_token or "")
    answer = {"role": "assistant", "content": response}
    prompt = tokenizer.apply_chat_template(list(context), tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template([*context, answer], tokenize=False)
    if not whole.startswith(prompt):  # templates that render a past answer differently from one to come
        return prompt, response + (tokenizer.eos_token or "")
    return prompt, whole[len(prompt) :].rstrip("\n")


def tokenize(samples: Iterable[Sample], base: Base, data: DataSettings = DataSettings()) -> list[Tokens]:
    """Render and tokenize. A sequence that is too long loses the start of its prompt, and only then the end
    of its response; how many did is told.

    Raises:
        DataError: a sample has no response token left that a loss could be computed on.
    """
    rows = [_tokenize(sample, base.tokenizer, data.max_tokens) for sample in samples]
    truncated = sum(row.truncated for row in rows)
    if truncated:
        say(f"{truncated} of {len(rows)} samples are longer than data.max_tokens = {data.max_tokens} and were cut.")
    return rows


def _tokenize(sample: Sample, tokenizer: Tokenizer, max_tokens: int) -> Tokens:
    prompt_text, response_text = render(tokenizer, sample.context, sample.response)
    prompt = tokenizer(prompt_text, add_special_tokens=False).input_ids
    response = tokenizer(response_text, add_special_tokens=False).input_ids
    if _adds_bos(tokenizer) and prompt[:1] != [tokenizer.bos_token_id]:
        prompt = [tokenizer.bos_token_id, *prompt]
    length = len(prompt) + len(response)
    prompt = prompt[max(0, len(prompt) - max(max_tokens - len(response), 1)) :]
    tokens = Tokens(sample.id, sample.domain, [*prompt, *response][:max_tokens], len(prompt), length > max_tokens)
    if tokens.response_tokens < 1:
        raise DataError(
            f"{sample.place}: sample '{sample.id}' has no response tokens within data.max_tokens = {max_tokens}; "
            "raise that setting or remove the sample."
        )
    return tokens


def _adds_bos(tokenizer: Tokenizer) -> bool:
    bos = tokenizer.bos_token_id
    return bos is not None and tokenizer("a").input_ids[:1] == [bos]
