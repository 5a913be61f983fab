"""Corruption types that machines leave behind: page furniture, chat templates, loops, wrong encodings, lost ends."""

from __future__ import annotations

import random
import re

from clues.data.samples import Sample
from clues.lab.corruption.context import Context, prompt_of
from clues.lab.corruption.language import phrases, sentence_ends, sentences, some

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
    """Surround the response with the furniture of a web page, and with HTML. Severity 1 is eight pieces."""
    stock = phrases(context.language(sample))["residue"]
    pieces = max(1, round(8 * context.severity))
    before = rng.randint(0, pieces)
    text = _marked_up(sample.response, rng) if rng.random() < 0.5 else sample.response
    return "\n".join([*some(stock["before"], before, rng), text, *some(stock["after"], pieces - before, rng)])


def template(sample: Sample, context: Context, rng: random.Random) -> str:
    """Go on after the response with the marks of a chat template and a next instruction. Severity has no meaning."""
    others = [prompt for other in context.samples if other.id != sample.id and (prompt := prompt_of(other))]
    stock = phrases(context.language(sample))["template"]["next"]
    following = rng.choice(others if others and rng.random() < 0.5 else stock)
    return sample.response + rng.choice(_MARKS).replace("{next}", following)


def loop(sample: Sample, context: Context, rng: random.Random) -> str:
    """Get stuck: a phrase, or the last sentence, over and over. Severity is the share of the response given up."""
    joiner = str(phrases(context.language(sample))["joiner"])
    units = sample.response.split() if joiner else list(sample.response)
    kept = units[: max(1, round(len(units) * (1 - context.severity)))]
    size = min(len(kept), rng.choice((1, 2, 3, 4, 6)) * (1 if joiner else 3))
    phrase = kept[-size:]
    if rng.random() < 0.4:
        phrase = [sentences(sample.response)[0].strip()]
        kept = phrase
    times = rng.randint(4, 12)
    return joiner.join([*kept, *phrase * times])


def mojibake(sample: Sample, context: Context, rng: random.Random) -> str:
    """Read the bytes of UTF-8 as another encoding.

    A response in ASCII gets typographic quotes, dashes and spaces first. Severity is the share of its words that get
    one, else without meaning.
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
    for place in rng.sample(range(len(words)), max(1, round(len(words) * severity * 0.3))):
        words[place] = rng.choice(("“{}”", "‘{}’", "\u00a0{}", "– {} –")).format(words[place])
    return " ".join(words)


def _read(byte: int, encoding: str) -> str:
    try:
        return bytes([byte]).decode(encoding)
    except UnicodeDecodeError:  # cp1252 leaves five bytes undefined
        return chr(byte)
