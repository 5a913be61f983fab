"""Lists beyond memory give back what was put in, whether it lies in memory or in the file."""

from __future__ import annotations

import tempfile
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from clues.errors import OutputError
from clues.io import spool
from clues.io.spool import LIMIT, Spool, Spooled


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


def objects(count: int) -> list[dict[str, object]]:
    return [{"number": number, "text": "text " * (number % 100)} for number in range(count)]


@pytest.mark.parametrize("count", [10, 40_000])
def test_objects_behave_as_a_list(count):
    expected = objects(count)
    held: Spooled[dict[str, object]] = Spooled()
    for each in expected:
        held.append(each)
    assert len(held) == count
    assert list(held) == expected
    assert [held[0], held[count // 2], held[-1]] == [expected[0], expected[count // 2], expected[-1]]
    for part in (slice(2, 5), slice(-3, None), slice(None, None, -3), slice(5, 2)):
        assert held[part] == expected[part]
    with pytest.raises(IndexError):
        held[count]


def test_the_objects_of_a_long_list_lie_in_the_file():
    tracemalloc.start()
    held: Spooled[bytes] = Spooled()
    for number in range(200):
        held.append(bytes([number]) * (LIMIT // 10))
    assert tracemalloc.get_traced_memory()[1] < 4 * LIMIT
    tracemalloc.stop()
    assert all(each == bytes([number]) * (LIMIT // 10) for number, each in enumerate(held))


def test_an_object_is_replaced_and_others_are_left_out():
    held: Spooled[object] = Spooled()
    for number in range(6):
        held.append([number])
    held[1] = "another"
    held[-1] = ["last"]
    assert list(held) == [[0], "another", [2], [3], [4], ["last"]]
    held.keep([0, 1, 5])
    held.append("new")
    assert list(held) == [[0], "another", ["last"], "new"]


def test_what_cannot_be_pickled_stays_as_it_is():
    held: Spooled[object] = Spooled()
    lock = threading.Lock()
    for each in ("before", lock, "after"):
        held.append(each)
    held.keep([1, 2])
    assert [held[0], held[1]] == [lock, "after"]


def test_objects_that_are_stored_as_their_values_are_made_again():
    held = Spooled(lambda text: tuple(text.split()), lambda *words: " ".join(words))
    for each in ("a bone", "a bone", "nerve"):
        held.append(each)
    held[1] = "heart rate"
    assert [*held, held[-1], held[0]] == ["a bone", "heart rate", "nerve", "nerve", "a bone"]
