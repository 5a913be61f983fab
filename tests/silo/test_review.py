from __future__ import annotations

import pytest
import torch

from clues.errors import DataError
from clues.methods.default.columns import FEATURES
from clues.selection.threshold import Threshold
from clues.silo.marks import read_decisions
from clues.silo.review import reviewed
from clues.silo.selection import Selection, counts
from clues.silo.tables import ScoreTable, write_table

IDS = [f"s{n}" for n in range(12)]


@pytest.fixture
def selection(tmp_path):
    scores = torch.linspace(-3, 3, 12, dtype=torch.float64)
    columns = {"score": scores} | {name: scores / 2 for name in FEATURES}
    write_table(tmp_path / "scores.parquet", iter(IDS), columns, note="a note")
    return Selection(ScoreTable(tmp_path / "scores.parquet"), Threshold("posterior", 0.0), "me")


def write(path, *lines):
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_the_last_decision_on_a_sample_counts_and_an_empty_one_takes_it_back(tmp_path):
    lines = ['{"id": "s1", "quality": "good"}', '{"id": "s1", "quality": "low", "remark": "cut"}']
    lines += ['{"id": "s2", "quality": "good"}', '{"id": "s2", "quality": ""}', '{"id": "s3", "quality": "good"}']
    assert read_decisions(write(tmp_path / "d.jsonl", *lines), IDS) == {1: False, 3: True}


def test_all_faults_of_a_file_of_decisions_come_at_once(tmp_path):
    file = write(tmp_path / "d.jsonl", '{"id": "other", "quality": "good"}', '{"id": "s1", "quality": "bad"}', "{")
    with pytest.raises(DataError) as raised:
        read_decisions(file, IDS)
    assert "no sample here has the id 'other'" in str(raised.value)
    assert "quality is 'bad'; write good, low or unsure" in str(raised.value)
    assert "line 3" in str(raised.value)


def test_decisions_overrule_the_score_and_move_the_others(selection):
    assert selection.kept == [False] * 6 + [True] * 6
    found = reviewed(selection, {0: True, 11: False, 10: False, 9: False, 8: False})
    assert (found.kept[0], found.kept[11]) == (True, False)
    assert found.reason(0) == "kept by the owner"
    assert "(with your decisions)" in found.reason(5)
    assert counts(found)["reviewed"] == 5
    assert counts(found)["note"] == "a note"


def test_without_decisions_nothing_changes(selection):
    assert reviewed(selection, {}) is selection


def test_scores_that_are_no_log_odds_are_put_against_their_limit(tmp_path):
    scores = torch.linspace(100, 111, 12, dtype=torch.float64)
    write_table(tmp_path / "scores.parquet", iter(IDS), {"score": scores})
    selection = Selection(ScoreTable(tmp_path / "scores.parquet"), Threshold("score", 106.0), "me")
    found = reviewed(selection, {3: True, 4: True, 5: True, 0: False})
    assert found.kept[3:] == [True] * 9
    assert not found.kept[0]
