"""The layout of multiple-choice questions: a prompt, its options, and which of them is right."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile
from string import ascii_uppercase
from typing import Any

from clues.data.layouts.dialects import DIALECTS, Dialect, FieldError, Pair
from clues.data.layouts.turns import text_of
from clues.data.records.values import blank

_OPTIONS = ("choices", "options")
_COLUMNS = ascii_uppercase[:10]


def options_of(record: Mapping[str, Any]) -> tuple[list[str], int]:
    """(texts of the options, index of the right one). Raises FieldError."""
    field = next((name for name in _OPTIONS if name in record), _OPTIONS[0])
    value = record.get(field)
    if field not in record and "A" in record:  # a column for each, as in the CSV files of MMLU
        value = [record[letter] for letter in takewhile(lambda name: not blank(record.get(name)), _COLUMNS)]
    if not isinstance(value, list) or len(value) < 2:
        raise FieldError(field, "is missing or not a list of at least two texts; write the options to choose from")
    options = [text_of({name: option}, name) for name, option in ((f"{field}[{n}]", o) for n, o in enumerate(value))]
    if len({option.strip() for option in options}) < len(options):
        raise FieldError(field, "contains an option twice; keep one of them")
    return options, _right(record.get("answer"), options)


def _right(answer: Any, options: list[str]) -> int:
    """The option that is named by its text, its letter or its index. A text that is also a letter counts as text."""
    names: dict[Any, int] = {letter: number for number, letter in enumerate(ascii_uppercase[: len(options)])}
    names |= {option.strip(): number for number, option in enumerate(options)}
    if isinstance(answer, str):
        answer = names.get(answer.strip())
    if isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(options):
        raise FieldError(
            "answer", f"names none of the {len(options)} options; write the index (from 0), letter or text of one"
        )
    return answer


def _read(record: Mapping[str, Any]) -> Pair:
    """The prompt, and the right option as its response."""
    options, right = options_of(record)
    if "prompt" in record:
        return DIALECTS["prompt-response"].read({**record, "response": options[right]})
    if "question" in record:
        return DIALECTS["question-answer"].read({**record, "answer": options[right]})
    raise FieldError("prompt", "is missing; a question needs the fields prompt, choices and answer")


# Not one of DIALECTS, as it is never detected: files of questions are named as such.
CHOICES = Dialect(
    name="choices",
    fields=("prompt", "choices", "answer"),
    also=("question", "options", *_COLUMNS, *DIALECTS["question-answer"].also),
    read=_read,
    write=lambda record, text: {**record, "answer": text},
)
