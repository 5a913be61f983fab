"""The notebook runs from its first cell to its last, with a tiny model in place of the embedded one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import clues.models.embedded as embedded

NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "quickstart.ipynb"


def test_the_quick_start_runs_and_holds_no_outputs(tiny_model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(embedded, "fetch", lambda: tiny_model)
    names: dict[str, Any] = {}
    cells = [cell for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    for cell in cells:
        assert cell["outputs"] == [] and cell["execution_count"] is None
        exec("".join(cell["source"]), names)
    kept = sum(names["selection"].kept)
    assert f"{kept} of 40 samples are kept." in capsys.readouterr().out
    assert len(names["dataset"]) == kept
    assert any(tensor.any() for name, tensor in names["adapter"].items() if "lora_B" in name)
