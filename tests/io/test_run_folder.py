"""The folder of a run: one configuration, one process."""

from __future__ import annotations

import pytest
from filelock import FileLock

from clues.errors import OutputError
from clues.io.run_folder import claim_folder, refuse_other_run


def test_a_run_goes_on_with_its_own_settings_and_refuses_others(tmp_path):
    claim_folder(tmp_path / "run", {"seed": 1})
    claim_folder(tmp_path / "run", {"seed": 1})
    with pytest.raises(OutputError, match="seed differ"):
        claim_folder(tmp_path / "run", {"seed": 2})


def test_a_run_goes_on_with_other_batches(tmp_path):
    claim_folder(tmp_path, {"scoring": {"batch_size": 16, "method": "ppl"}})
    refuse_other_run(tmp_path, {"scoring": {"batch_size": 4, "batch_tokens": 512, "method": "ppl"}})
    with pytest.raises(OutputError, match=r"holds another run \(scoring.method differ\)"):
        refuse_other_run(tmp_path, {"scoring": {"batch_size": 4, "method": "ifd"}})


def test_a_folder_that_another_command_writes_to_is_refused(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    other = FileLock(folder / ".lock")
    (folder / "config.toml").write_text("seed = 1\n")
    with other, pytest.raises(OutputError, match="another command is writing there"):
        claim_folder(folder, {"seed": 1})
    claim_folder(folder, {"seed": 1})
