"""Labels are read like samples: every fault of a file at once, and ids written alike."""

from __future__ import annotations

import pytest

from clues.errors import DataError
from clues.selection.metrics import read_labels


def test_ids_are_compared_as_samples_have_them(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("id;quality;kind\n1;good;\n2;low;cut\n")
    assert read_labels(str(path), ["1", "2"]) == {"1": "", "2": "cut"}
    lines = tmp_path / "labels.jsonl"
    lines.write_text('{"id": 1.0, "quality": "good"}\n{"id": "2", "quality": "low"}\n')
    assert read_labels(str(lines), ["1", "2"]) == {"1": "", "2": "low"}


def test_every_fault_is_told_at_once(tmp_path):
    path = tmp_path / "labels.jsonl"
    rows = ['{"id": 1, "quality": "good"}', "{", '{"id": 2, "quality": "fine"}', '{"id": 1, "quality": "low"}', "{}"]
    path.write_text("\n".join(rows))
    with pytest.raises(DataError) as caught:
        read_labels(str(path), ["1"])
    told = str(caught.value).split("\n")
    assert [line.split(", ")[1].split(":")[0] for line in told] == ["line 2", "line 3", "line 4", "line 5"]
    assert "gives id '1' another label" in told[2]
