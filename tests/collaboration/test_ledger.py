"""The ledger finds what was changed in it, and what the server says that it does not hold."""

from __future__ import annotations

import json

import pytest
import torch

from clues.collaboration.items import items_of
from clues.collaboration.ledger import Ledger, Received, compare_ledger, verify_ledger
from clues.errors import DataError


def items(number: int):
    return items_of({"id": "a", "samples": number}, {"w": torch.full((2, 3), float(number))})


@pytest.fixture
def ledger(tmp_path):
    for number in range(4):
        Ledger(tmp_path / "ledger.jsonl").write("train", items(number))
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def received(tmp_path):
    def write(*numbers: int, kind: str = "train"):
        for number in numbers:
            Received(tmp_path / "received.jsonl").write("a", kind, items(number))
            Received(tmp_path / "received.jsonl").write("b", kind, items(9))
        return tmp_path / "received.jsonl"

    return write


def test_an_untouched_ledger_verifies(ledger):
    verified = verify_ledger(ledger)
    assert [entry["items"][1]["name"] for entry in verified.entries] == ["facts.samples"] * 4
    assert verified.torn == 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda lines: [lines[0], lines[1].replace(b'"train"', b'"judge"'), *lines[2:]], 2),
        (lambda lines: [*lines[:3], lines[3].replace(b'"bytes": 24', b'"bytes": 25')], 4),  # no line follows
        (lambda lines: [lines[0], *lines[2:]], 2),
        (lambda lines: lines[1:], 1),
        (lambda lines: [lines[0], lines[2], lines[1], lines[3]], 2),
        (lambda lines: [*lines, lines[3]], 5),
        (lambda lines: [lines[0], b"{}", *lines[1:]], 2),
        (lambda lines: [lines[0] + b" ", *lines[1:]], 1),
    ],
)
def test_a_changed_removed_or_moved_line_is_named(ledger, change, line):
    ledger.write_bytes(b"".join(one + b"\n" for one in change(ledger.read_bytes().splitlines())))
    with pytest.raises(DataError, match=f"line {line}: "):
        verify_ledger(ledger)


def test_a_line_rewritten_with_its_digest_breaks_the_chain_after_it(ledger, tmp_path):
    lines = ledger.read_bytes().splitlines()
    other = tmp_path / "other.jsonl"
    for number in (0, 7):
        Ledger(other).write("train", items(number))
    lines[1] = other.read_bytes().splitlines()[1]
    ledger.write_bytes(b"".join(line + b"\n" for line in lines))
    with pytest.raises(DataError, match=r"line [23]: does not follow"):
        verify_ledger(ledger)


@pytest.mark.parametrize("kept", [1, 50, -1])
def test_a_line_torn_by_a_crash_is_tolerated_and_repaired(ledger, kept, capsys):
    *_, last = ledger.read_bytes().splitlines(keepends=True)
    ledger.write_bytes(ledger.read_bytes()[: -len(last)] + last[:kept])
    assert (len(verify_ledger(ledger).entries), verify_ledger(ledger).torn) == (3, len(last[:kept]))
    Ledger(ledger).write("train", items(5))
    verified = verify_ledger(ledger)
    assert (len(verified.entries), verified.torn) == (4, 0)
    assert verified.entries[-1]["repaired"] == len(last[:kept])
    assert "cut its last line off" in capsys.readouterr().err


def test_a_first_line_that_is_torn(tmp_path):
    (tmp_path / "l").write_bytes(b'{"ti')
    Ledger(tmp_path / "l").write("train", items(0))
    assert len(verify_ledger(tmp_path / "l").entries) == 1


def test_the_server_received_what_was_sent(ledger, received):
    compared = compare_ledger(ledger, received(0, 2), "a")
    assert (compared.received, compared.lost) == (2, [2, 4])


def test_the_server_shows_something_that_was_not_sent(ledger, received):
    with pytest.raises(DataError, match=r"line 3: differs in arrays.w, facts.samples"):
        compare_ledger(ledger, received(0, 8), "a")


def test_the_server_shows_one_answer_twice(ledger, received):
    with pytest.raises(DataError, match="line 9: is not in the ledger"):
        compare_ledger(ledger, received(0, 1, 2, 3, 3), "a")


def test_an_answer_of_another_kind(ledger, received):
    with pytest.raises(DataError, match="line 1: is not in the ledger"):
        compare_ledger(ledger, received(0, kind="select"), "a")


def test_a_ledger_whose_end_was_cut_off_is_found_by_the_servers_file(ledger, received):
    file = received(0, 1, 2, 3)
    ledger.write_bytes(b"".join(ledger.read_bytes().splitlines(keepends=True)[:3]))
    assert len(verify_ledger(ledger).entries) == 3
    with pytest.raises(DataError, match="line 7"):
        compare_ledger(ledger, file, "a")


def test_a_client_that_the_server_does_not_know(ledger, received):
    with pytest.raises(DataError, match=r"has nothing of client A, only of a.*; check --client"):
        compare_ledger(ledger, received(0), "A")


def test_errors_are_not_compared(ledger, received):
    Ledger(ledger).write("error", {"reason": ([1], b"a: OSError")})
    assert compare_ledger(ledger, received(0, 1, 2, 3), "a").lost == []


def test_no_content_is_in_the_ledger(tmp_path):
    Ledger(tmp_path / "l").write("train", items_of({"id": "secret-text"}, {}))
    assert "secret-text" not in (tmp_path / "l").read_text()
    assert json.loads((tmp_path / "l").read_text())["items"][0]["bytes"] == len('"secret-text"')
