"""Tokenizing samples, the same for training, scoring and evaluation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from clues.data.cutting import cut_pair
from clues.data.records.rows import listed
from clues.data.rendering import Rendered, TemplateRefusal, render, renderer
from clues.data.samples import Sample
from clues.data.telling import say_once
from clues.data.templates import Tokenizer
from clues.data.tokens import Span, Tokens, TokenTable
from clues.errors import DataError
from clues.models.base import Base
from clues.settings import DataSettings

_CHUNK = 256  # texts that are tokenized in one call


def tokenize(
    samples: Iterable[Sample], base: Base, data: DataSettings = DataSettings(), *, end: bool = True
) -> TokenTable:
    """Render and tokenize samples; cut long ones (`clues.data.cutting`) and report how many.

    Args:
        end: whether the token that ends a response counts as part of it.

    Raises:
        DataError: the model's template refuses samples, or no response token is left to compute a loss on. Lists all
            such samples.
    """
    limit, apply, encode = _limit(base, data), renderer(base.tokenizer, data), _Encoder(base.tokenizer)
    table = TokenTable()
    problems: dict[str, list[str]] = {}  # problem: places of the samples
    source, counts = "", Counter[str]()
    remaining = iter(samples)
    while chunk := list(islice(remaining, _CHUNK)):
        source = source or chunk[0].place.rpartition(", ")[0]
        rendered: list[tuple[Sample, Rendered]] = []
        for sample in chunk:
            try:
                text = render(sample, apply)
            except TemplateRefusal as refusal:
                problems.setdefault(f"{refusal}.", []).append(sample.place)
            else:
                rendered.append((sample, text if end else text.without_end()))
        for (sample, text), encoded in zip(rendered, encode([text for _, text in rendered]), strict=True):
            row = _row(sample, text, encoded=encoded, bos=encode.bos, limit=limit)
            counts["cut"] += row.truncated
            counts["ended"] += row.ends or row.truncated or not end
            if row.response_tokens < 1:
                problem = (
                    f"no response token is left within data.max_tokens = {limit}; raise that setting or remove the "
                    "sample."
                )
                problems.setdefault(problem, []).append(sample.place)
            table.append(row)
    counts["control"] = encode.with_control_tokens
    if problems:
        raise DataError(listed(f"{_places(places)}: {problem}" for problem, places in problems.items()))
    if len(table):
        _report(counts, f"of {len(table)} samples", source=source, limit=limit)
        if apply.has_clock:
            say_once("The model's chat template writes the date; 1 January 2025 is always used instead.")
    return table


def _places(places: Sequence[str]) -> str:
    return places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"


def _limit(base: Base, data: DataSettings) -> int:
    positions = base.positions
    if positions is None or data.max_tokens <= positions:
        return data.max_tokens
    say_once(
        f"data.max_tokens = {data.max_tokens} exceeds the model's {positions} positions, which are used as the limit."
    )
    return positions


def _report(counts: Counter[str], of_samples: str, *, source: str, limit: int) -> None:
    if counts["cut"]:
        say_once(f"{source}: {counts['cut']} {of_samples} are longer than data.max_tokens = {limit} and were cut.")
    if counts["control"]:
        say_once(
            f"{source}: {counts['control']} {of_samples} contain control tokens of the model in their text; they are "
            "treated as text."
        )
    if not counts["ended"]:
        say_once("The model has no end token: training cannot teach it to stop, and scores ignore how responses end.")


# (token id, its characters in the text)
_Encoded = list[tuple[int, Span]]


class _Encoder:
    """A tokenizer, whose properties are looked up once and not for every sample.

    `bos`: the token it prepends to a text, if any. `with_control_tokens`: how many texts contained some so far.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._special = tokenizer, [token for token in tokenizer.all_special_tokens if token]
        bos = tokenizer.bos_token_id
        self.bos = bos if bos is not None and tokenizer("a").input_ids[:1] == [bos] else None
        self.with_control_tokens = 0

    def __call__(self, texts: Sequence[Rendered]) -> list[_Encoded]:
        """Tokenize prompt and response in one go, as the model sees them.

        Text written by people that contains a control token is tokenized separately from the template's, as text.
        """
        split = [self._finds_control_tokens(text) for text in texts]
        self.with_control_tokens += sum(split)
        joined = iter(self._joined([text for text, control in zip(texts, split, strict=True) if not control]))
        return [self._split(text) if control else next(joined) for text, control in zip(texts, split, strict=True)]

    def _finds_control_tokens(self, rendered: Rendered) -> bool:
        return any(token in rendered.text[start:end] for start, end in rendered.contents for token in self._special)

    def _joined(self, texts: Sequence[Rendered]) -> list[_Encoded]:
        if not texts or not self._tokenizer.is_fast:
            return [self._piece(text, (0, len(text.text)), plain=False) for text in texts]
        options: dict[str, Any] = {"add_special_tokens": False, "split_special_tokens": False}
        fast = self._tokenizer([text.text for text in texts], return_offsets_mapping=True, **options)
        return [list(zip(*pair, strict=True)) for pair in zip(fast.input_ids, fast.offset_mapping, strict=True)]

    def _split(self, rendered: Rendered) -> _Encoded:
        encoded: _Encoded = []
        place = 0
        for start, end in rendered.contents:
            end = min(end, len(rendered.text))
            encoded += self._piece(rendered, (place, start), plain=False)
            encoded += self._piece(rendered, (start, end), plain=True)
            place = end
        return encoded + self._piece(rendered, (place, len(rendered.text)), plain=False)

    def _piece(self, rendered: Rendered, span: Span, *, plain: bool) -> _Encoded:
        start, end = span
        text, tokenizer = rendered.text[start:end], self._tokenizer
        if not text:
            return []
        options: dict[str, Any] = {"add_special_tokens": False, "split_special_tokens": plain}
        if tokenizer.is_fast:
            fast = tokenizer(text, return_offsets_mapping=True, **options)
            return [(i, (start + a, start + b)) for i, (a, b) in zip(fast.input_ids, fast.offset_mapping, strict=True)]
        # Slow tokenizers return no offsets: prompt and response are tokenized separately unless the tokens of the text
        # begin with those of the prompt.
        tokens = list(tokenizer(text, **options).input_ids)
        boundary = rendered.start - start
        if not 0 < boundary < len(text):
            return [(i, span) for i in tokens]
        prompt = list(tokenizer(text[:boundary], **options).input_ids)
        response = tokens[len(prompt) :]
        if tokens[: len(prompt)] != prompt:
            response = list(tokenizer(text[boundary:], **options).input_ids)
        return [*((i, (start, rendered.start)) for i in prompt), *((i, (rendered.start, end)) for i in response)]


def _row(sample: Sample, rendered: Rendered, *, encoded: _Encoded, bos: int | None, limit: int) -> Tokens:
    ids = [token for token, _ in encoded]
    # A token across the boundary contains the first characters of the response.
    split = next((n for n, (_, (_, end)) in enumerate(encoded) if end > rendered.start), len(ids))
    earlier = [_span(encoded, start, end) for start, end in rendered.earlier]
    if bos is not None and ids[:1] != [bos]:
        ids, split = [bos, *ids], split + 1
        earlier = [(start + 1, end + 1) for start, end in earlier]
    prompt, response = cut_pair(ids[:split], ids[split:], limit)
    cut = len(prompt) + len(response) < len(ids)
    return Tokens(
        id=sample.id,
        domain=sample.domain,
        input_ids=[*prompt, *response],
        response_start=len(prompt),
        truncated=cut,
        ends=rendered.ends and len(response) == len(ids) - split,
        limit=limit,
        # Earlier responses are incomplete if the middle of the prompt was removed.
        earlier=tuple(earlier) if len(prompt) == split else (),
        prompt=ids[:split] if len(prompt) < split else None,
    )


def _span(encoded: _Encoded, start: int, end: int) -> Span:
    rows = [n for n, (_, (a, b)) in enumerate(encoded) if b > start and a < end]
    return (rows[0], rows[-1] + 1) if rows else (0, 0)
