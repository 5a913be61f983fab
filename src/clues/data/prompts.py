"""The one way from a sample to tokens, for training, scoring and evaluation alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from clues.data.cutting import cut_pair
from clues.data.records.rows import listed
from clues.data.rendering import Rendered, TemplateRefusal, Tokenizer, render, renderer
from clues.data.samples import Sample
from clues.data.telling import say_once
from clues.data.tokens import Span, Tokens, TokenTable
from clues.errors import DataError
from clues.models.base import Base
from clues.settings import DataSettings


def tokenize(samples: Iterable[Sample], base: Base, data: DataSettings = DataSettings()) -> TokenTable:
    """Render and tokenize; what is too long is cut (`clues.data.cutting`), and how many were is reported.

    Raises:
        DataError: samples that the model's template refuses, or that have no response token left that a loss could be
            computed on; all of them at once.
    """
    limit, apply, encode = _limit(base, data), renderer(base.tokenizer, data), _Encoder(base.tokenizer)
    table = TokenTable()
    problems: dict[str, list[str]] = {}  # by what is wrong, the samples' places
    source, counts = "", Counter[str]()
    for sample in samples:
        source = source or sample.place.rpartition(", ")[0]
        try:
            rendered = render(sample, apply)
        except TemplateRefusal as refusal:
            problems.setdefault(f"{refusal}.", []).append(sample.place)
            continue
        marked = encode.finds_control_tokens(rendered)
        row = _row(sample, rendered, encode(rendered, apart=marked), bos=encode.bos, limit=limit)
        counts += Counter(typed=marked, cut=row.truncated, ended=row.ends or row.truncated)
        if row.response_tokens < 1:
            wrong = (
                f"no response token is left within data.max_tokens = {limit}; raise that setting or remove the sample."
            )
            problems.setdefault(wrong, []).append(sample.place)
        table.append(row)
    if problems:
        raise DataError(listed(f"{_places(places)}: {wrong}" for wrong, places in problems.items()))
    if len(table):
        _tell(counts, f"of {len(table)} samples", source, limit)
        if apply.has_clock:
            say_once("The model's chat template writes the date; 1 January 2025 stands in its place, always.")
    return table


def _places(places: Sequence[str]) -> str:
    return places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"


def _limit(base: Base, data: DataSettings) -> int:
    positions = base.positions
    if positions is None or data.max_tokens <= positions:
        return data.max_tokens
    say_once(
        f"data.max_tokens = {data.max_tokens} is more than the model's {positions} positions, which are the limit."
    )
    return positions


def _tell(counts: Counter[str], whole: str, source: str, limit: int) -> None:
    if counts["cut"]:
        say_once(f"{source}: {counts['cut']} {whole} are longer than data.max_tokens = {limit} and were cut.")
    if counts["typed"]:
        say_once(
            f"{source}: {counts['typed']} {whole} hold control tokens of the model in their text; they are read as "
            "text."
        )
    if not counts["ended"]:
        say_once("The model has no end token: nothing teaches it to stop, and no score looks at how a response ends.")


# (token, where it begins and ends in the text)
_Encoded = list[tuple[int, Span]]


class _Encoder:
    """A tokenizer; what is looked up of it for every sample is looked up once.

    `bos`: the token that it puts in front of a text, None where it puts none.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._special = tokenizer, [token for token in tokenizer.all_special_tokens if token]
        bos = tokenizer.bos_token_id
        self.bos = bos if bos is not None and tokenizer("a").input_ids[:1] == [bos] else None

    def finds_control_tokens(self, rendered: Rendered) -> bool:
        """Whether something that people wrote reads like a control token."""
        return any(token in rendered.text[start:end] for start, end in rendered.contents for token in self._special)

    def __call__(self, rendered: Rendered, apart: bool) -> _Encoded:
        """The text's tokens, of prompt and response together, so that no token stands for a gap that is not there.

        Args:
            apart: tokenize what people wrote apart from what the template writes, without control tokens.
        """
        if not apart:
            return self._piece(rendered, (0, len(rendered.text)), plain=False)
        encoded: _Encoded = []
        place = 0
        for start, end in rendered.contents:
            end = min(end, len(rendered.text))
            encoded += self._piece(rendered, (place, start), plain=False)
            encoded += self._piece(rendered, (start, end), plain=True)
            place = end
        return encoded + self._piece(rendered, (place, len(rendered.text)), plain=False)

    def _piece(self, rendered: Rendered, span: Span, plain: bool) -> _Encoded:
        start, end = span
        text, tokenizer = rendered.text[start:end], self._tokenizer
        if not text:
            return []
        options: dict[str, Any] = {"add_special_tokens": False, "split_special_tokens": plain}
        if tokenizer.is_fast:
            fast = tokenizer(text, return_offsets_mapping=True, **options)
            return [(i, (start + a, start + b)) for i, (a, b) in zip(fast.input_ids, fast.offset_mapping, strict=True)]
        # A slow tokenizer tells no places: the prompt is tokenized apart, unless the whole begins with its tokens.
        whole = list(tokenizer(text, **options).input_ids)
        boundary = rendered.start - start
        if not 0 < boundary < len(text):
            return [(i, span) for i in whole]
        prompt = list(tokenizer(text[:boundary], **options).input_ids)
        response = whole[len(prompt) :]
        if whole[: len(prompt)] != prompt:
            response = list(tokenizer(text[boundary:], **options).input_ids)
        return [*((i, (start, rendered.start)) for i in prompt), *((i, (rendered.start, end)) for i in response)]


def _row(sample: Sample, rendered: Rendered, encoded: _Encoded, *, bos: int | None, limit: int) -> Tokens:
    ids = [token for token, _ in encoded]
    # A token that reaches over the boundary holds the response's first characters.
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
        # In a prompt whose middle is gone, earlier responses are no longer whole.
        earlier=tuple(earlier) if len(prompt) == split else (),
        prompt=ids[:split] if len(prompt) < split else None,
    )


def _span(encoded: _Encoded, start: int, end: int) -> Span:
    rows = [n for n, (_, (a, b)) in enumerate(encoded) if b > start and a < end]
    return (rows[0], rows[-1] + 1) if rows else (0, 0)
