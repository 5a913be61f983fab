"""Finished work by content."""

from __future__ import annotations

import pytest

from clues.io.store import JSON, Store, export


def test_work_is_done_once_for_the_same_inputs_and_version(tmp_path, monkeypatch):
    store, made = Store(tmp_path), []

    def value(inputs):
        return store.get("kind", inputs, compute=lambda: made.append(inputs) or {"of": inputs}, codec=JSON)

    assert value({"a": 1}) == value({"a": 1}) == {"of": {"a": 1}}
    assert value({"a": 2}) == {"of": {"a": 2}}
    assert len(made) == 2
    monkeypatch.setattr("clues.io.store.__version__", "another")
    value({"a": 1})
    assert len(made) == 3


def test_a_folder_whose_build_was_cut_off_is_not_there_and_goes_on(tmp_path):
    store = Store(tmp_path)

    def build(part):
        steps = [path.name for path in part.iterdir()]
        (part / f"step-{len(steps)}").touch()
        if not steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.folder("kind", "inputs", build=build)
    folder = store.folder("kind", "inputs", build=build)
    assert sorted(path.name for path in folder.iterdir()) == ["step-0", "step-1"]
    assert store.folder("kind", "inputs", build=build) == folder
    assert len(list(folder.iterdir())) == 2


def test_a_temporary_store_goes_with_its_object():
    store = Store.temporary()
    folder = store.folder("kind", 1, build=lambda part: (part / "a").touch())
    assert (folder / "a").is_file()
    del store
    assert not folder.exists()


def test_what_is_shown_is_replaced_and_the_stored_stays(tmp_path):
    for name in ("one", "two"):
        source = tmp_path / name
        source.mkdir()
        (source / "file").write_text(name)
        export(source, tmp_path / "shown")
    assert (tmp_path / "shown" / "file").read_text() == "two"
    export(tmp_path / "one" / "file", tmp_path / "shown" / "file")
    assert (tmp_path / "two" / "file").read_text() == "two"
