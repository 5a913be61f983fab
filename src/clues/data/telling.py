"""Notices about a file that is read, once per file. None of them is an error."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from clues.data.layouts.identity import similar_names
from clues.data.records.values import shown_names
from clues.io.progress import say

# Fields that files often have besides prompt and response; ignoring them loses nothing.
_EXPECTED = {"id", "domain", "clues", "quality", "kind", "label", "choices", "silo", "", "__index_level_0__"}
_said: set[str] = set()
_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


@contextmanager
def told_before() -> Iterator[None]:
    """Say nothing of the files that are read inside: the command that scored them did."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


def say_once(line: str) -> None:
    """Print a line once per process: files are read again in every phase of a run."""
    if line not in _said and not _quiet.get():
        _said.add(line)
        say(line)


def tell_unused(source: str | Path, names: Iterable[str]) -> None:
    """Name the fields of a file that are not used."""
    unused = sorted({name for name in names if name not in _EXPECTED})
    if unused:
        what = "field" if len(unused) == 1 else "fields"
        say_once(f"{source}: {what} {shown_names(unused)} {_are(unused)} not used in prompt or response.")


def tell_unusable(source: str | Path, problems: Sequence[tuple[str, str]], *, total: int, most: int = 10) -> None:
    """List which records of a private file are dropped, by place (`FILE, line 3`), and why."""
    if not problems:
        return
    places: defaultdict[str, list[str]] = defaultdict(list)
    for place, reason in problems:
        places[reason].append(place.removeprefix(f"{source}, "))
    shown = [f"{_cut(where, most)}: {reason}" for reason, where in list(places.items())[:most]]
    more = f"; and {len(places) - most} more reasons" if len(places) > most else ""
    say_once(
        f"{source}: {len(problems)} of {total} records cannot be used and {_are(problems)} dropped: "
        f"{'; '.join(shown)}{more}."
    )


def _cut(names: Sequence[str], most: int = 10) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def tell_repeats(ids: Sequence[str], anchors: int, *sources: Sequence[str]) -> None:
    """Warn of anchors that are also in the validation set."""
    if not ids:
        return
    shared = sorted(set(sources[0]) & set(sources[1]))
    place = f"{shared[0]} is given for both" if shared else _cut(ids)
    say_once(
        f"Warning: {len(ids)} of {anchors} anchors {_are(ids)} also in the validation set ({place}); the threshold is "
        "then fitted on samples that the scores were optimised for. Give other samples as anchors."
    )


def tell_domains(source: str, domains: Iterable[tuple[str, Any]]) -> None:
    """List domains that may be meant as one.

    Args:
        domains: per sample, its domain and the value of that field in its record.
    """
    written = dict.fromkeys((name, str(raw)) for name, raw in domains if isinstance(raw, str) or raw is None)
    padded = [f"'{raw}' as '{name}'" for name, raw in written if raw != name and raw.strip() == name]
    if padded:
        say_once(f"{source}: blanks around domain names are ignored: {_cut(padded)}.")
    for group in similar_names(name for name, _ in written):
        quoted = ", ".join(f"'{name}'" for name in group)
        say_once(
            f"{source}: domains {quoted} differ only in capitals, blanks or hyphens, and count as different domains."
        )


def tell_overlap(ids: Sequence[str], who: str) -> None:
    """Warn of private samples that are also public: they would score themselves."""
    if ids:
        say(f"Warning: {who}: {_samples_are(ids)} also in the validation or anchor set: {_shown(ids)}")


def tell_leaks(ids: Sequence[str], who: str) -> None:
    """Warn of private samples that are also in the tests: a model trained on them is not tested by them."""
    if ids:
        say(
            f"Warning: {who}: {_samples_are(ids)} also in the tests, which then say nothing about a model trained on "
            f"them; remove these samples, or set selection.drop to ['test']: {_shown(ids)}"
        )


def _samples_are(ids: Sequence[str]) -> str:
    return f"{len(ids)} {'sample' if len(ids) == 1 else 'samples'} {_are(ids)}"


def _are(things: Sequence[object]) -> str:
    return "is" if len(things) == 1 else "are"


def _shown(ids: Sequence[str]) -> str:
    return ", ".join(ids[:10]) + (" …" if len(ids) > 10 else "")
