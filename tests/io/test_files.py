from __future__ import annotations

import pytest

from clues.errors import OutputError
from clues.io.digests import value_digest
from clues.io.files import replace_whole, write_json
from clues.io.run_folder import claim_folder, refuse_other_run


def test_a_failed_write_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def fail(part):
        part.write_text("half")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        replace_whole(path, fail)
    assert "old" in path.read_text()
    write_json(path, {"new": 1})
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_folders_are_replaced_whole(tmp_path):
    for text in ("one", "two"):
        replace_whole(tmp_path / "d", lambda part, text=text: (part.mkdir(), (part / text).write_text(text)))
    assert [p.name for p in (tmp_path / "d").iterdir()] == ["two"]


def test_a_claimed_folder_takes_the_same_run_only(tmp_path):
    claim_folder(tmp_path / "run", {"a": {"b": 1, "c": None}})
    claim_folder(tmp_path / "run", {"a": {"b": 1}})
    with pytest.raises(OutputError, match=r"holds another run \(a\.b differ\)"):
        claim_folder(tmp_path / "run", {"a": {"b": 2}})


def test_a_folder_of_something_else_is_refused_and_the_check_writes_nothing(tmp_path):
    (tmp_path / "photo.png").write_text("x")
    with pytest.raises(OutputError, match="is not a CLUES run"):
        claim_folder(tmp_path, {})
    refuse_other_run(tmp_path / "new", {"a": 1})
    assert not (tmp_path / "new").exists()


def test_two_processes_that_write_the_same_do_not_meet(tmp_path):
    def write(part, inner=None):
        part.mkdir()
        (part / "content").write_text("whole")
        if inner:
            replace_whole(tmp_path / "d", inner)  # another one writes and ends in the meantime

    replace_whole(tmp_path / "d", lambda part: write(part, inner=write))
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    assert (tmp_path / "d" / "content").read_text() == "whole"


def test_a_digest_is_of_everything_that_went_in():
    import torch

    from clues.data.prompts import Tokens
    from clues.settings import LoraSettings

    row = Tokens("a", "d", [1, 2, 3], 1, False)
    values = [
        row,
        Tokens("b", "d", [1, 2, 3], 1, False),
        Tokens("a", "e", [1, 2, 3], 1, False),
        Tokens("a", "d", [1, 2, 3], 2, False),
        LoraSettings(r=4),
        LoraSettings(r=4, alpha=8.0),
        torch.tensor([1.0, 2.0]),
        torch.tensor([2.0, 1.0]),  # the same sum and norm
        torch.tensor([[1.0, 2.0]]),
        torch.tensor([1.0, 2.0], dtype=torch.float64),
        torch.tensor(1.0),
        torch.zeros(0),
        {"b": 1, "a": {"x", "y"}},
    ]
    digests = [value_digest([value]) for value in values]
    assert len(set(digests)) == len(values)
    assert value_digest([{"a": {"y", "x"}, "b": 1}]) == digests[-1]
    with pytest.raises(TypeError, match="type object"):
        value_digest([object()])
