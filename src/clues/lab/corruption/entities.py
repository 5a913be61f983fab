"""What a prompt is about: quoted spans, names, and words that few other prompts contain."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from clues.lab.corruption.language import asking_words, sentence_ends

_UNSPACED = r"\u3040-\u30ff\u3400-\u9fff"
# A token is a word, or one character of a script without spaces.
_TOKEN = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+(?:[-’'.][^\W_{_UNSPACED}]+)*")
_QUOTED = re.compile(
    r"(?<!\w)'([^']{2,80})'(?!\w)|\"([^\"]{2,80})\"|“([^”]{2,80})”|„([^“”]{2,80})[“”]|«\s?([^»]{2,80}?)\s?»|[「《]([^」》]+)[」》]"
)
_LONGEST = 6  # tokens of a name


class Names:
    """The names in a set of prompts: spans that tell a prompt from the others."""

    def __init__(self, prompts: Sequence[str]) -> None:
        self._count = Counter(word for prompt in prompts for word in set(_TOKEN.findall(prompt.lower())))
        self._most = max(2, len(prompts) // 20)

    def of(self, prompt: str, response: str, language: str) -> str:
        """What a prompt is about: a quoted span, else a name that the response contains too, else the best name."""
        best = [*_quoted(prompt), self.shared(prompt, response, language), *self._rare(prompt, language)]
        return next(filter(None, best), "")

    def shared(self, prompt: str, response: str, language: str) -> str:
        """The best name in a prompt that the response contains too, "" if there is none."""
        return next(
            (name for name in [*_quoted(prompt), *self._rare(prompt, language)] if mentions(response, name)), ""
        )

    def _rare(self, prompt: str, language: str) -> list[str]:
        """Spans of rare words: capitalised ones first, then the longest, then the last, as in most questions."""
        asking = asking_words(language)
        runs: list[list[re.Match[str]]] = [[]]
        for token in _TOKEN.finditer(prompt):
            if runs[-1] and prompt[runs[-1][-1].end() : token.start()] not in ("", " "):
                runs.append([])
            word = token[0].lower()
            if word not in asking and not word.isdigit() and self._count[word] <= self._most:
                runs[-1].append(token)
            else:
                runs.append([])
        spans = [part for run in runs for part in _parts(run)]
        spans.sort(key=lambda span: (span[0][0][0].isupper(), len(span), span[0].start()), reverse=True)
        names = (prompt[span[0].start() : span[-1].end()] for span in spans)
        return [name for name in names if len(name) > 1]


def mentions(text: str, name: str) -> bool:
    return name.lower() in text.lower() and _pattern(name).search(text) is not None


def renamed(text: str, old: str, new: str) -> str:
    """The text with `new` wherever it names `old`, capitalised at the start of a sentence."""
    starts = {len(text) - len(text[end:].lstrip()) for end in [0, *sentence_ends(text)]}
    return _pattern(old).sub(lambda match: new[0].upper() + new[1:] if match.start() in starts else new, text)


def _quoted(prompt: str) -> list[str]:
    found = ((match[match.lastindex or 0]).strip() for match in _QUOTED.finditer(prompt))
    return [span for span in found if span]


def _parts(run: list[re.Match[str]]) -> Iterator[list[re.Match[str]]]:
    """All parts of a run of tokens up to the length of a name."""
    for start in range(len(run)):
        for end in range(start + 1, min(len(run), start + _LONGEST) + 1):
            yield run[start:end]


def _pattern(name: str) -> re.Pattern[str]:
    left, right = (r"\b" if re.match(rf"[^\W{_UNSPACED}]", end) else "" for end in (name[0], name[-1]))
    return re.compile(left + r"\s+".join(map(re.escape, name.split())) + right, re.I)
