"""Samples as tokens: single samples, and tables stored as columns without an object per sample."""

from __future__ import annotations

import bisect
import hashlib
import pickle
import struct
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from clues.io.indexed import Indexed
from clues.io.spool import Spool

Span = tuple[int, int]  # [from, to) in tokens


@dataclass(frozen=True)
class Tokens:
    """A sample as tokens; those from `response_start` on are the response.

    `truncated`: prompt or response was cut. `ends`: the last token closes the response; False if the response was cut
    or the model has no end token. `limit`: the maximum length of any sequence made of this sample. `earlier`: spans
    of responses within the prompt that also carry loss. `prompt`: the full prompt if it was cut.
    """

    id: str
    domain: str
    input_ids: list[int]
    response_start: int
    truncated: bool
    ends: bool = True
    limit: int | None = None
    earlier: tuple[Span, ...] = ()
    prompt: list[int] | None = None

    @property
    def response_tokens(self) -> int:
        """The number of tokens that carry loss. The first token of a sequence never does."""
        return len(self.input_ids) - max(self.response_start, 1) + sum(end - start for start, end in self.earlier)

    @property
    def response(self) -> list[int]:
        return self.input_ids[self.response_start :]

    @property
    def full_prompt(self) -> list[int]:
        return self.input_ids[: self.response_start] if self.prompt is None else self.prompt

    def after(self, prompt: Sequence[int]) -> Tokens:
        """The same with another prompt; the last response alone carries loss."""
        ids = [*prompt, *self.response]
        return replace(self, input_ids=ids, response_start=len(prompt), earlier=(), prompt=None)


class TokenTable(Indexed[Tokens]):
    """Tokenized samples as columns: tokens and ids in a temporary file, 25 bytes per sample in memory.

    Indexing builds the `Tokens` of a row.
    """

    def __init__(self, rows: Iterable[Tokens] = ()) -> None:
        self._rows = Spool()  # per row: token ids, the length of the id, the id, and pickled fields that few rows have
        self._lengths, self._starts, self._limits = array("i"), array("i"), array("i")
        self._flags, self._domains = array("b"), array("i")
        self._names: list[str] = []
        self._places: dict[str, int] = {}
        for row in rows:
            self.append(row)

    def append(self, row: Tokens) -> None:
        name = row.id.encode("utf-8", "surrogatepass")
        rest = pickle.dumps((row.earlier, row.prompt)) if row.earlier or row.prompt is not None else b""
        tokens = np.asarray(row.input_ids, dtype=np.int32).tobytes()
        self._rows.append(b"".join((tokens, len(name).to_bytes(4, "little"), name, rest)))
        self._lengths.append(len(row.input_ids))
        self._starts.append(row.response_start)
        self._limits.append(-1 if row.limit is None else row.limit)
        self._flags.append(row.truncated | row.ends << 1)
        if row.domain not in self._places:
            self._places[row.domain] = len(self._names)
            self._names.append(row.domain)
        self._domains.append(self._places[row.domain])

    def __len__(self) -> int:
        return len(self._lengths)

    def _item(self, row: int) -> Tokens:
        tokens, name, rest = self._stored(row)
        earlier, prompt = pickle.loads(rest) if rest else ((), None)
        return Tokens(
            id=name.decode("utf-8", "surrogatepass"),
            domain=self._names[self._domains[row]],
            input_ids=np.frombuffer(tokens, dtype=np.int32).tolist(),
            response_start=self._starts[row],
            truncated=bool(self._flags[row] & 1),
            ends=bool(self._flags[row] & 2),
            limit=None if self._limits[row] < 0 else self._limits[row],
            earlier=earlier,
            prompt=prompt,
        )

    def id(self, row: int) -> str:
        return self._stored(row)[1].decode("utf-8", "surrogatepass")

    def content(self, row: int) -> tuple[np.ndarray, tuple[Span, ...]]:
        """(token ids, spans of earlier responses that carry loss) of a row."""
        tokens, _, rest = self._stored(row)
        return np.frombuffer(tokens, dtype=np.int32), pickle.loads(rest)[0] if rest else ()

    def _stored(self, row: int) -> tuple[bytes, bytes, bytes]:
        """(tokens, id, rest) of a row."""
        stored, tokens = self._rows[row], 4 * self._lengths[row]
        end = tokens + 4 + int.from_bytes(stored[tokens : tokens + 4], "little")
        return stored[:tokens], stored[tokens + 4 : end], stored[end:]

    @property
    def ids(self) -> Iterator[str]:
        return (self.id(row) for row in range(len(self)))

    @property
    def lengths(self) -> np.ndarray:
        """The number of tokens of each sample: samples."""
        return np.asarray(self._lengths)

    @property
    def starts(self) -> np.ndarray:
        """Where each response begins: samples."""
        return np.asarray(self._starts)

    @property
    def ends(self) -> np.ndarray:
        """Whether the last token closes the response: samples, bool."""
        return np.asarray(self._flags) >> 1 == 1

    @property
    def domains(self) -> np.ndarray:
        """The domain of each sample, as an index into `domain_names`: samples."""
        return np.asarray(self._domains)

    @property
    def domain_names(self) -> list[str]:
        return self._names

    def __eq__(self, other: object) -> bool:
        return self.digest == other.digest if isinstance(other, TokenTable) else NotImplemented

    @property
    def encoded_rows(self) -> Iterator[bytes]:
        """The full content of each row, for a digest."""
        return (self._encoded(row) for row in range(len(self)))

    def _encoded(self, row: int) -> bytes:
        domain = self._names[self._domains[row]].encode("utf-8", "surrogatepass")
        values = (domain, self._rows[row])
        numbers = struct.pack("<iib", self._starts[row], self._limits[row], self._flags[row])
        return b"".join(len(value).to_bytes(4, "little") + value for value in values) + numbers

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all rows, cached; read it only after the last row was appended."""
        return _digest(self.encoded_rows)


def _digest(rows: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row)
    return digest.hexdigest()


def as_table(rows: Sequence[Tokens]) -> TokenTable | Joined:
    """The same samples as a table."""
    return rows if isinstance(rows, TokenTable | Joined) else TokenTable(rows)


class Joined(Indexed[Tokens]):
    """Several tables as one, without copying."""

    def __init__(self, *parts: Sequence[Tokens]) -> None:
        self._parts = [as_table(part) for part in parts]
        self._places = np.cumsum([0, *(len(part) for part in self._parts)]).tolist()

    def __len__(self) -> int:
        return int(self._places[-1])

    def _item(self, row: int) -> Tokens:
        part, number = self._at(row)
        return part[number]

    def id(self, row: int) -> str:
        part, number = self._at(row)
        return part.id(number)

    def content(self, row: int) -> tuple[np.ndarray, tuple[Span, ...]]:
        part, number = self._at(row)
        return part.content(number)

    @property
    def encoded_rows(self) -> Iterator[bytes]:
        return (row for part in self._parts for row in part.encoded_rows)

    def _at(self, row: int) -> tuple[TokenTable | Joined, int]:
        number = bisect.bisect_right(self._places, row) - 1
        return self._parts[number], row - self._places[number]

    @property
    def ids(self) -> Iterator[str]:
        return (name for part in self._parts for name in part.ids)

    @cached_property
    def lengths(self) -> np.ndarray:
        return np.concatenate([part.lengths for part in self._parts])

    @cached_property
    def starts(self) -> np.ndarray:
        return np.concatenate([part.starts for part in self._parts])

    @property
    def ends(self) -> np.ndarray:
        return np.concatenate([part.ends for part in self._parts])

    @property
    def domain_names(self) -> list[str]:
        return list(dict.fromkeys(name for part in self._parts for name in part.domain_names))

    @property
    def domains(self) -> np.ndarray:
        place = {name: number for number, name in enumerate(self.domain_names)}
        codes = [np.array([*(place[name] for name in part.domain_names)], dtype=np.int32) for part in self._parts]
        return np.concatenate([code[part.domains] for code, part in zip(codes, self._parts, strict=True)])

    @cached_property
    def digest(self) -> str:
        """Equal to the digest of a table with the same rows."""
        return self._parts[0].digest if len(self._parts) == 1 else _digest(self.encoded_rows)


class Picked(Indexed[Tokens]):
    """Selected rows of a table, in the given order."""

    def __init__(self, table: Sequence[Tokens], rows: Sequence[int]) -> None:
        self._table, self._rows = table, rows

    def __len__(self) -> int:
        return len(self._rows)

    def _item(self, row: int) -> Tokens:
        return self._table[self._rows[row]]
