"""What checks found, from samples to a table of scores and to the reasons of a selection."""

from __future__ import annotations

import pytest
import torch

from clues.checks.findings import check_samples, tell_findings
from clues.data.samples import PublicSamples, read_records
from clues.errors import SelectionError
from clues.selection.threshold import Threshold
from clues.silo.checked import columns
from clues.silo.selection import Selection
from clues.silo.tables import ScoreTable, write_table

TEXTS = {
    "clean": "It carries blood to the lungs.",
    "refusal": "I'm sorry, but I can't help with that.",
    "copy": "It carries blood to the lungs!",
    "tested": "It stores what the body does not need at once.",
    "known": "It filters the blood and makes urine.",
}
SCORES = torch.tensor([0.5, -2.0, 0.7, 1.0, 2.0], dtype=torch.float64)


def read(name: str, *ids: str):
    asked = {"clean": "What does the heart do?", "copy": "What does the heart do?", "tested": "What does fat do?"}
    prompts = {**dict.fromkeys(TEXTS, "What do kidneys do?"), **asked}
    return read_records([{"id": i, "prompt": prompts[i], "response": TEXTS[i]} for i in ids], name)


@pytest.fixture
def findings():
    public = PublicSamples(validation=read("validation", "known"), anchors=[])
    return check_samples(read("own", *TEXTS), public, read("tests", "tested"))


@pytest.fixture
def select(findings, tmp_path):
    found = columns(findings, SCORES, list(TEXTS).__getitem__)
    write_table(tmp_path / "s.parquet", iter(TEXTS), {"score": SCORES}, texts=found)
    table = ScoreTable(tmp_path / "s.parquet")
    assert table.names == ["score"]
    return lambda *drop: Selection(table, Threshold("score", 0.0), "me", drop=drop)


def test_findings_inform_and_drop_nothing_by_default(select):
    selection = select()
    assert selection.kept == [True, False, True, True, True]
    assert list(selection.reasons) == [
        "score ≥ 0; near-copy of copy",
        "score < 0; refuses",
        "score ≥ 0",
        "score ≥ 0; near-copy of test sample tested",
        "score ≥ 0; near-copy of validation sample known",
    ]
    assert selection.checked.counts() == {"refusal": 1, "public": 1, "test": 1, "duplicate": 1}


def test_findings_drop_where_the_settings_say_so(select):
    selection = select("duplicate", "refusal", "test")
    assert selection.kept == [False, False, True, False, True]
    assert selection.reason(0) == "near-copy of copy; dropped by selection.drop; score ≥ 0"


def test_scores_without_findings_have_none_and_refuse_to_drop_by_them(tmp_path):
    write_table(tmp_path / "s.parquet", iter(TEXTS), {"score": SCORES})
    selection = Selection(ScoreTable(tmp_path / "s.parquet"), Threshold("score", 0.0), "me", drop=["loop"])
    assert selection.checked.counts() == {}
    with pytest.raises(SelectionError, match=r"selection\.drop: these scores were made without checks"):
        _ = selection.kept


def test_samples_of_the_tests_are_told_loudly(findings, capsys):
    tell_findings(findings, read("own", *TEXTS), "client a")
    said = " ".join(capsys.readouterr().err.split())
    assert "Warning: client a: 1 sample is also in the tests" in said
    assert "set selection.drop to ['test']: tested" in said
    assert "Warning: client a: 1 sample is also in the validation or anchor set: known" in said


def test_another_text_is_another_finding(findings):
    public = PublicSamples(validation=read("validation", "known"), anchors=[])
    assert check_samples(read("own", *TEXTS), public).digest != findings.digest
