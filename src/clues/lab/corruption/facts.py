"""Corruption types that leave the form of an answer and make its content wrong: entity, number, negation."""

from __future__ import annotations

import random
import re
from itertools import islice, pairwise

from clues.data.samples import Sample
from clues.lab.corruption.context import Context, prompt_of
from clues.lab.corruption.entities import renamed
from clues.lab.corruption.language import phrases, sentences

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_TRIED = 200  # samples, in search of one that suits


def wrong_entity(sample: Sample, context: Context, rng: random.Random) -> str | None:
    """Take another sample's answer, with the name in this prompt put in the place of that in the other.

    If no answer names what its own prompt asks for, one of them gets a frame with the name. Severity has no meaning.
    """
    language = context.language(sample)
    name = context.names.of(prompt_of(sample), sample.response, language)
    others = [o for o in islice(context.others(sample, rng), _TRIED) if context.language(o) == language]
    if not name or not others:
        return None
    for other in others:
        old = context.names.shared(prompt_of(other), other.response, language)
        if old and old.lower() != name.lower():
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
    for rule, replacement in rules:
        pattern = re.compile(rule, re.I)
        match = pattern.search(sentence)
        if not match:
            continue
        start, end = match.span()
        new = match.expand(replacement)
        if sentence[start].isupper():  # the capital stays in front
            lower = sentence[:start] + sentence[start].lower() + sentence[start + 1 :]
            again = pattern.search(lower, start)
            new = again.expand(replacement) if again else new
            new = new[:1].upper() + new[1:]
        return sentence[:start] + new + sentence[end:]
    return sentence


def _other_number(number: str, rng: random.Random) -> str:
    """Another number of the same form: a near year, ten times as much, two digits exchanged, or other digits."""
    if re.fullmatch("1[0-9]{3}|20[0-9]{2}", number):
        return str(int(number) + rng.choice((-1, 1)) * rng.randint(1, 60))
    digits = [place for place, character in enumerate(number) if character.isdigit()]
    unequal = [(a, b) for a, b in pairwise(digits) if number[a] != number[b] and (a > 0 or number[b] != "0")]
    kind = rng.choice(("other", "tenfold", "exchanged"))
    if kind == "tenfold" and number.isdigit() and number.strip("0"):
        return number + "0"
    new = list(number)
    if kind == "exchanged" and unequal:
        a, b = rng.choice(unequal)
        new[a], new[b] = number[b], number[a]
        return "".join(new)
    for place in rng.sample(digits, rng.randint(1, len(digits))):
        leading = place == 0 and len(digits) > 1
        new[place] = rng.choice([digit for digit in "0123456789"[leading:] if digit != number[place]])
    return "".join(new)
