"""The registry of corruption types: the values of `clues corrupt --kinds`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from clues.lab.corruption import answers, artefacts, facts, words
from clues.lab.corruption.context import Corrupt


@dataclass(frozen=True)
class Kind:
    """A corruption type. `title`: what it does. `needs`: what a sample must have, for the message if it has not."""

    title: str
    corrupt: Corrupt
    needs: str = "another response"


_SYNTHETIC = {
    "cut": Kind("keep the first part of the response", words.cut, "a response of several words"),
    "delete": Kind("remove random words", words.delete, "a response of several words"),
    "noise": Kind("replace random words with letters", words.noise),
    "foreign": Kind("replace random words with words of other languages", words.foreign),
    "exchange": Kind("take the response of another sample", answers.exchange, "another sample with another response"),
    "wrong-choice": Kind(
        "replace the right choice with a wrong one",
        answers.wrong_choice,
        "the fields 'choices', with a wrong choice, and 'answer'",
    ),
}
_NATURAL = {
    "refusal": Kind("refuse to answer", answers.refusal),
    "evasive": Kind("answer with stock courtesy that would fit any question", answers.evasive),
    "echo": Kind("repeat the prompt", answers.echo, "a prompt that differs from the response"),
    "wrong-entity": Kind(
        "answer about something else, under the right name", facts.wrong_entity, "a name in its prompt"
    ),
    "wrong-number": Kind("change numbers in the response", facts.wrong_number, "a number in the response"),
    "negation": Kind("negate statements, or remove their negation", facts.negation, "a statement it can negate"),
    "residue": Kind("add menus, banners and tags of a web page", artefacts.residue),
    "template": Kind("go on with role marks and the next instruction", artefacts.template),
    "loop": Kind("repeat a phrase or sentence over and over", artefacts.loop),
    "mojibake": Kind("read the bytes of UTF-8 as another encoding", artefacts.mojibake),
    "natural-end": Kind("stop after a sentence", artefacts.natural_end, "a response of two sentences"),
    "foreign-language": Kind("answer in another language", answers.foreign_language),
    "duplicate": Kind("copy another sample, slightly edited or exactly", answers.duplicate, "another good sample"),
}
KINDS: dict[str, Kind] = {**_SYNTHETIC, **_NATURAL}
NATURAL = tuple(_NATURAL)  # low quality as it occurs in real data; all of them together are called natural


def expanded(names: Iterable[str]) -> list[str]:
    """The names of corruption types, with those of all natural ones in place of `natural`."""
    return [kind for name in names for kind in (NATURAL if name == "natural" else (name,))]
