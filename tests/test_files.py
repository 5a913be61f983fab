from __future__ import annotations

import pytest

from clues.errors import OutputError
from clues.files import Phase, claim_folder, refuse_other_run, replace_whole, write_json


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
    with pytest.raises(OutputError, match="is not a run of ours"):
        claim_folder(tmp_path, {})
    refuse_other_run(tmp_path / "new", {"a": 1})
    assert not (tmp_path / "new").exists()


def test_a_phase_is_done_for_its_own_inputs_only(tmp_path):
    Phase(tmp_path, "p", {"a": 1}).finish()
    assert Phase(tmp_path, "p", {"a": 1}).done
    assert not Phase(tmp_path, "p", {"a": 2}).done
