"""Corruption types that machines leave behind: page furniture, chat templates, loops, wrong encodings, lost ends."""

from __future__ import annotations

import random
import re
from itertools import islice

from clues.data.samples import Sample
from clues.lab.corruption.context import Context, prompt_of
from clues.lab.corruption.language import phrases, sentence_ends, sentences, some
from clues.lab.corruption.words import first, words_of

_MARKS = (
    "\n\n### Instruction:\n{next}\n\n### Response:\n",
    "<|im_end|>\n<|im_start|>user\n{next}<|im_end|>\n<|im_start|>assistant\n",
    "\n\nHuman: {next}\n\nAssistant:",
    "</s><s>[INST] {next} [/INST]",
    "\n<|user|>\n{next}\n<|assistant|>\n",
    "<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n{next}",
    "\nUSER: {next}\nASSISTANT:",
    "<end_of_turn>\n<start_of_turn>user\n{next}<end_of_turn>",
    "\n\nQ: {next}\nA:",
)


def residue(sample: Sample, context: Context, rng: random.Random) -> str:
    """Surround the response with the furniture of a web page, and with HTML. Severity 1 is at most eight pieces."""
    stock = phrases(context.language(sample))["residue"]
    pieces = rng.randint(1, max(1, round(8 * context.severity)))
    before = rng.randint(0, pieces)
    text = _marked_up(sample.response, rng) if rng.random() < 0.5 else sample.response
    return "\n".join([*some(stock["before"], before, rng), text, *some(stock["after"], pieces - before, rng)])


def template(sample: Sample, context: Context, rng: random.Random) -> str:
    """Go on after the response with the marks of a chat template and a next instruction. Severity has no meaning."""
    language = context.language(sample)
    following = rng.choice(phrases(language)["next"])
    if rng.random() < 0.5:
        others = (prompt_of(o) for o in islice(context.others(sample, rng), 20) if context.language(o) == language)
        following = next(filter(None, others), following)
    return sample.response + rng.choice(_MARKS).replace("{next}", following)


def loop(sample: Sample, context: Context, rng: random.Random) -> str:
    """Get stuck: a phrase or a sentence, over and over. Severity is the share of the response that is lost before."""
    words, joiner = words_of(sample.response)
    if rng.random() < 0.4:
        parts = [sentence.strip() for sentence in sentences(sample.response)]
        kept, size, times = first(parts, context.severity), 1, rng.randint(4, 8)
    else:
        kept, size = first(words, context.severity), rng.choice((1, 2, 3, 4, 6))
        times = max(4, rng.randint(10, 30) // size)
    return joiner.join(kept + kept[-size:] * times)


def mojibake(sample: Sample, context: Context, rng: random.Random) -> str:
    """Read the bytes of UTF-8 as another encoding.

    A response in ASCII gets typographic quotes, dashes and spaces first, the more the higher the severity; else it has
    no meaning.
    """
    text = sample.response if not sample.response.isascii() else _typographic(sample.response, context.severity, rng)
    encoding = rng.choice(("cp1252", "cp1252", "latin-1", "mac_roman"))
    for _ in range(rng.choice((1, 1, 2))):
        text = "".join(_read(byte, encoding) for byte in text.encode())
    return text


def natural_end(sample: Sample, context: Context, rng: random.Random) -> str | None:
    """Stop after a sentence. Severity is the share of the sentences lost, at least one."""
    ends = sentence_ends(sample.response)
    if len(ends) < 2:
        return None
    kept = min(len(ends) - 1, max(1, round(len(ends) * (1 - context.severity))))
    return sample.response[: ends[kept - 1]].rstrip()


def _marked_up(text: str, rng: random.Random) -> str:
    """The text with tags and entities of HTML."""
    text = text.replace("&", "&amp;").replace('"', "&quot;").replace("'", "&#39;")
    style = rng.choice(("p", "br", "div", "span"))
    if style == "br":
        return "<br />".join(sentences(text)) + "<br />"
    if style == "span":
        return re.sub(r" ", lambda _: "&nbsp;" if rng.random() < 0.3 else " ", text) + "&nbsp;"
    opening = "<p>" if style == "p" else '<div class="content">'
    return "\n".join(f"{opening}{sentence.strip()}</{style}>" for sentence in sentences(text))


def _typographic(text: str, severity: float, rng: random.Random) -> str:
    """The text with curly quotes and long dashes; some of its words in quotes or after a no-break space."""
    text = text.replace("'", "’").replace(" - ", " – ").replace("...", "…")
    text = re.sub(r'"([^"]*)"', r"“\1”", text)
    words = text.split(" ")
    for place in rng.sample(range(len(words)), max(1, round(len(words) * severity * 0.4))):
        words[place] = rng.choice(("“{}”", "‘{}’", "\u00a0{}", "{}\u00a0")).format(words[place])
    return " ".join(words)


def _read(byte: int, encoding: str) -> str:
    try:
        return bytes([byte]).decode(encoding)
    except UnicodeDecodeError:  # cp1252 leaves five bytes undefined
        return chr(byte)
