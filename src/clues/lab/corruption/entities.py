"""What a prompt is about: quoted spans, capitalised spans, and words that few other prompts contain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from clues.lab.corruption.language import LANGUAGES, stop_words

# A token is a word, or one character of a script without spaces.
_TOKEN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+(?:[-’'.][^\W_\u3040-\u30ff\u3400-\u9fff]+)*"
)
_QUOTED = re.compile(
    r"(?<!\w)'([^']{2,80})'(?!\w)|\"([^\"]{2,80})\"|“([^”]{2,80})”|„([^“”]{2,80})[“”]|«\s?([^»]{2,80}?)\s?»|[「《]([^」》]{1,40})[」》]"
)
_GAP = re.compile(r"[ \u00a0]?")  # between two tokens of one span
_STOP = frozenset().union(*(stop_words(language) for language in LANGUAGES))
_LONGEST = 8  # tokens of a span


class Names:
    """The names in a set of prompts. A name is a span of a prompt that tells it from the others."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self._count = Counter(token for prompt in prompts for token in {t.lower() for t in _TOKEN.findall(prompt)})
        self._often = max(1, len(prompts) // 20)

    def of(self, prompt: str, response: str) -> str:
        """The name in a prompt, preferably one that the response contains too; "" if there is none."""
        found = list(dict.fromkeys(self._candidates(prompt)))
        return next((name for name in found if mentions(response, name)), found[0] if found else "")

    def _candidates(self, prompt: str) -> Iterator[str]:
        """Quoted spans, then spans of rare words: capitalised ones first, then the longest."""
        for match in _QUOTED.finditer(prompt):
            yield next(group for group in match.groups() if group)
        spans = [span for span in self._spans(prompt) if len(span) > 1]
        first = prompt.lstrip()
        yield from sorted(spans, key=lambda span: (not _is_name(span) or first.startswith(span), -len(span)))

    def _spans(self, prompt: str) -> Iterator[str]:
        """Runs of rare tokens, and capitalised runs within them."""
        run: list[re.Match[str]] = []
        for token in [*_TOKEN.finditer(prompt), None]:
            fits = token and token[0].lower() not in _STOP and self._count[token[0].lower()] <= self._often
            if run and not (
                fits and token and _GAP.fullmatch(prompt, run[-1].end(), token.start()) and len(run) < _LONGEST
            ):
                yield prompt[run[0].start() : run[-1].end()]
                yield from re.findall(
                    r"[A-ZÀ-Þ][\w’'-]*(?: [A-ZÀ-Þ0-9][\w’'-]*)*", prompt[run[0].start() : run[-1].end()]
                )
                run = []
            if fits and token:
                run.append(token)


def mentions(text: str, name: str) -> bool:
    return _pattern(name).search(text) is not None


def renamed(text: str, old: str, new: str) -> str:
    """The text with `new` wherever it names `old`; capitalised as `old` was at the start of a sentence."""

    def written(match: re.Match[str]) -> str:
        upper = match[0][0].isupper() and not old[0].isupper()
        return new[0].upper() + new[1:] if upper else new

    return _pattern(old).sub(written, text)


def _is_name(span: str) -> bool:
    return span[0].isupper() or span[0].isdigit()


def _pattern(name: str) -> re.Pattern[str]:
    left, right = (r"\b" if end.isascii() and end.isalnum() else "" for end in (name[0], name[-1]))
    return re.compile(left + r"\s+".join(map(re.escape, name.split())) + right, re.I)
