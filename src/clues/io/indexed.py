"""Sequences whose items are made when they are read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import TypeVar, overload

T = TypeVar("T")


class Indexed(Sequence[T]):
    """A sequence that makes one item at a time; a slice is a list of items."""

    @abstractmethod
    def _item(self, row: int) -> T:
        """The item in `row`, from 0 to the length less 1."""

    @overload
    def __getitem__(self, row: int) -> T: ...
    @overload
    def __getitem__(self, row: slice) -> list[T]: ...
    def __getitem__(self, row: int | slice) -> T | list[T]:
        rows = range(len(self))[row]
        return self._item(rows) if isinstance(rows, int) else [self._item(each) for each in rows]

    def __iter__(self) -> Iterator[T]:
        return map(self._item, range(len(self)))
