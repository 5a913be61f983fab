"""Corruption types that give another answer: none at all, the question again, or the answer of another sample."""

from __future__ import annotations

import random

from clues.data.samples import Sample
from clues.lab.corruption.context import Context, Record, layout_of, prompt_of, record_of
from clues.lab.corruption.language import LANGUAGES, composed, phrases, some


def refusal(sample: Sample, context: Context, rng: random.Random) -> str:
    """Refuse to answer. Severity has no meaning: the whole response is replaced."""
    language = context.language(sample)
    stock = phrases(language)["refusal"]
    parts = some(stock["openings"], 1, rng)
    parts += [rng.choice(stock[part]) for part in ("reasons", "closings") if rng.random() < 0.5]
    return composed(language, parts)


def evasive(sample: Sample, context: Context, rng: random.Random) -> str:
    """Answer with stock courtesy that would fit any question. Severity has no meaning."""
    language = context.language(sample)
    stock = phrases(language)["evasive"]
    parts = some(stock["openings"], rng.randint(0, 1), rng) + some(stock["middles"], rng.randint(1, 3), rng)
    return composed(language, parts + some(stock["closings"], rng.randint(0, 1), rng))


def echo(sample: Sample, context: Context, rng: random.Random) -> str | None:
    """Repeat the prompt, as it is or in a frame. Severity has no meaning."""
    prompt = prompt_of(sample)
    frames = phrases(context.language(sample))["echo"]
    frame = rng.choice(["{prompt}", "{prompt}\n{prompt}", *frames])
    return str(frame.replace("{prompt}", prompt)) if prompt.strip() else None


def exchange(sample: Sample, context: Context, rng: random.Random) -> str | None:
    """Take the response of another sample that is exchanged too, else of any. Severity has no meaning."""
    other = context.partners.get(sample.id) or next(context.others(sample, rng), None)
    return other.response if other else None


def foreign_language(sample: Sample, context: Context, rng: random.Random) -> str | None:
    """Answer in another language: as a sample of the set in one, else with unrelated sentences.

    Severity has no meaning.
    """
    own = context.language(sample)
    if set(context.frequency) - {own}:
        others = (o.response for o in context.others(sample, rng) if context.languages[o.id] not in ("", own))
        return next(others, None)
    language = rng.choice([name for name in LANGUAGES if name != own])
    return composed(language, some(phrases(language)["stock"], rng.randint(2, 4), rng))


def duplicate(sample: Sample, context: Context, rng: random.Random) -> Record | None:
    """Replace prompt and response by those of a good sample, exactly or with a slight edit. Severity has no meaning."""
    other = next((other for other in context.others(sample, rng) if other.id not in context.low), None)
    if other is None:
        return None
    edit, layout = rng.choice(_EDITS), layout_of(other)
    record = layout.write({**other.record, "id": record_of(sample)["id"]}, edit(other.response, rng))
    field = layout.fields[0]  # the prompt, unless it is a whole conversation
    return {**record, field: edit(record[field], rng)} if isinstance(record.get(field), str) else record


def wrong_choice(sample: Sample, context: Context, rng: random.Random) -> Record | None:
    """Replace the right choice by a wrong one, in the response and in the field `answer`. Severity has no meaning."""
    record = record_of(sample)
    choices = record.get("choices")
    if not isinstance(choices, list) or "answer" not in record:
        return None
    others = [choice for choice in choices if choice != record["answer"]]
    if not others:
        return None
    wrong = rng.choice(others)
    response = sample.response.replace(str(record["answer"]), str(wrong))
    changed = response.strip() and response != sample.response
    return {**layout_of(sample).write(record, response), "answer": wrong} if changed else None


def _same(text: str, rng: random.Random) -> str:
    return text


def _without_end(text: str, rng: random.Random) -> str:
    return text.rstrip().rstrip(".!?。！？ ") or text


def _small_start(text: str, rng: random.Random) -> str:
    return text[0].lower() + text[1:]


def _without_a_word(text: str, rng: random.Random) -> str:
    words = text.split(" ")
    if len(words) > 5:
        del words[rng.randrange(1, len(words))]
    return " ".join(words)


def _spaced(text: str, rng: random.Random) -> str:
    return text.replace(". ", ".  ")


_EDITS = (_same, _without_end, _small_start, _without_a_word, _spaced)
