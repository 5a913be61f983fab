"""Corruption types that leave the form of an answer and make its content wrong: entity, number, negation."""

from __future__ import annotations

import random
import re

from clues.data.samples import Sample
from clues.lab.corruption.context import Context, prompt_of
from clues.lab.corruption.entities import mentions, renamed
from clues.lab.corruption.language import phrases, sentences

_NUMBER = re.compile(r"\d+")


def wrong_entity(sample: Sample, context: Context, rng: random.Random) -> str | None:
    """Take another sample's answer, with the name in this prompt put in the place of that in the other.

    An answer that does not name what its own prompt asks for gets a frame with the name. Severity has no meaning.
    """
    name, language = context.names.of(prompt_of(sample), sample.response), context.language(sample)
    others = [o for o in context.samples if o.response != sample.response and context.language(o) == language]
    if not name or not others:
        return None
    rng.shuffle(others)
    for other in others:
        old = context.names.of(prompt_of(other), other.response)
        if old and old.lower() != name.lower() and mentions(other.response, old):
            return renamed(other.response, old, name)
    frame = rng.choice(phrases(language)["frames"])
    return str(frame.replace("{entity}", name).replace("{response}", others[0].response))


def wrong_number(sample: Sample, context: Context, rng: random.Random) -> str | None:
    """Change numbers in the response. Severity is the share of the numbers changed, at least one."""
    numbers = list(_NUMBER.finditer(sample.response))
    text = sample.response
    chosen = rng.sample(numbers, max(1, round(len(numbers) * context.severity))) if numbers else []
    for match in sorted(chosen, key=lambda match: -match.start()):
        text = text[: match.start()] + _other_number(match[0], rng) + text[match.end() :]
    return text if numbers else None


def negation(sample: Sample, context: Context, rng: random.Random) -> str | None:
    """Negate statements, or remove their negation. Severity is the share of such sentences changed, at least one."""
    rules = phrases(context.language(sample))["negation"]
    parts = sentences(sample.response)
    changed = {
        place: negated
        for place, part in enumerate(parts)
        if (negated := _negated(part, [*rules["negated"], *rules["affirmed"]])) != part
    }
    if not changed:
        return None
    for place in rng.sample(sorted(changed), max(1, round(len(changed) * context.severity))):
        parts[place] = changed[place]
    return "".join(parts)


def _negated(sentence: str, rules: list[tuple[str, str]]) -> str:
    """The sentence changed by the first rule that applies."""
    for pattern, replacement in rules:
        match = re.search(pattern, sentence, re.I)
        if match:
            new = match.expand(replacement)
            new = new[:1].upper() + new[1:] if match[0][0].isupper() else new
            return sentence[: match.start()] + new + sentence[match.end() :]
    return sentence


def _other_number(number: str, rng: random.Random) -> str:
    """Another number of the same length, ten times as much, or one with two digits exchanged."""
    kind = rng.choice(("digits", "digit", "tenfold", "swapped"))
    if kind == "tenfold" and number.strip("0"):
        return number + "0"
    digits = list(number)
    unequal = [
        place for place in range(len(digits) - 1) if digits[place] != digits[place + 1] and "0" not in digits[:2]
    ]
    if kind == "swapped" and unequal:
        place = rng.choice(unequal)
        digits[place], digits[place + 1] = digits[place + 1], digits[place]
        return "".join(digits)
    places = range(len(digits)) if kind == "digits" else [rng.randrange(len(digits))]
    for place in places:
        first = place == 0 and len(digits) > 1 and digits[0] != "0"
        digits[place] = rng.choice([digit for digit in "0123456789"[first:] if digit != digits[place]])
    return "".join(digits)
