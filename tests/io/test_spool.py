"""Lists beyond memory give back what was put in, whether it lies in memory or in the file."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from clues.errors import OutputError
from clues.io import spool
from clues.io.spool import LIMIT, Spool


def item(number: int) -> bytes:
    return b"%d " % number * (number % 5000)  # every 5000th is empty


def filled(count: int) -> Spool:
    held = Spool()
    for number in range(count):
        held.append(item(number))
    return held


def test_a_small_list_never_touches_the_disk(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: pytest.fail("a file was made"))
    held = filled(100)
    assert [held[number] for number in range(len(held))] == [item(number) for number in range(100)]


def test_what_does_not_fit_into_memory_comes_back_in_any_order():
    held = filled(1000)
    assert sum(len(item(number)) for number in range(1000)) < LIMIT
    for number in range(1000, 2000):
        held.append(item(number))
        assert held[number] == item(number)
        assert held[number // 2] == item(number // 2)
    assert sum(len(item(number)) for number in range(2000)) > 2 * LIMIT
    assert len(held) == 2000
    assert [held[number] for number in reversed(range(2000))] == [item(number) for number in reversed(range(2000))]
    assert held[-1] == item(1999)


def test_an_item_may_be_larger_than_what_memory_holds():
    held = filled(3)
    large = bytes(range(256)) * (LIMIT // 100)
    held.append(large)
    held.append(b"after")
    assert [held[2], held[3], held[4]] == [item(2), large, b"after"]


def test_there_is_nothing_beyond_the_ends():
    for held in (filled(3), Spool()):
        for row in (len(held), -len(held) - 1):
            with pytest.raises(IndexError):
                held[row]


def test_several_threads_read_at_once():
    held = filled(2000)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(held.__getitem__, range(2000))) == [item(number) for number in range(2000)]


def test_a_full_disk_is_told_with_the_remedy(monkeypatch):
    class Full:
        def write(self, content: bytes) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(spool.tempfile, "TemporaryFile", lambda **_: Full())
    with pytest.raises(OutputError, match=r"No space left on device.*TMPDIR"):
        filled(3000)
