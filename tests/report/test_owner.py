"""What the owner sees of each sample."""

import pyarrow
import pytest
import torch

from clues.data.sample import Sample
from clues.report.owner import OwnerRows
from clues.selection.threshold import Threshold
from clues.silo.checked import CHECKED, DUPLICATE_OF, PUBLIC_COPY
from clues.silo.selection import Selection
from clues.silo.tables import ScoreTable, write_table


def sample(identity, *turns):
    context = [{"role": role, "content": text} for role, text in (*turns, ("user", f"what is {identity}"))]
    return Sample(identity, context, f"{identity} is", "x", {}, f"line {identity}")


@pytest.fixture
def selection(tmp_path):
    """Of four samples: a good one, its near-copy that refuses, one that is low, and one that its owner overruled."""
    columns = {"score": [2.0, 1.0, -1.0, -2.0], "agreement": [0.0, 0.0, 0.0, 0.0], "relevance": [1.0, 1.0, -3.0, -1.0]}
    columns |= {name: columns["agreement"] for name in ("likeness", "ending", "typicality")} | {
        "loss": columns["score"]
    }
    texts = {
        CHECKED: pyarrow.array([[], ["refusal", "duplicate"], [], []], pyarrow.list_(pyarrow.string())),
        DUPLICATE_OF: pyarrow.array([None, "a", None, None], pyarrow.string()),
        PUBLIC_COPY: pyarrow.array([None] * 4, pyarrow.string()),
    }
    tensors = {name: torch.tensor(values) for name, values in columns.items()}
    write_table(tmp_path / "scores.parquet", iter("abcd"), tensors, texts=texts)
    table = ScoreTable(tmp_path / "scores.parquet")
    return Selection(table, Threshold("posterior", 0.0), "me", drop=["refusal"], decisions={3: True})


def test_each_row_says_what_was_decided_by_whom_and_what_is_wrong(selection):
    rows = list(OwnerRows([sample(name) for name in "abcd"], selection))
    assert [(row.decision, row.decided_by) for row in rows] == [
        ("kept", "threshold"),
        ("dropped", "check"),
        ("dropped", "threshold"),
        ("kept", "owner"),
    ]
    assert [row.causes for row in rows] == [
        (),
        ("refuses", "near-copy of another sample"),
        ("hardly follows from its prompt",),
        ("hardly follows from its prompt",),
    ]
    assert [row.group for row in rows] == ["a", "a", "", ""]
    assert rows[2].features == {"agreement": 0.0, "likeness": 0.0, "ending": 0.0, "relevance": -3.0, "typicality": 0.0}
    assert (rows[2].prompt, rows[2].response, rows[2].score, rows[2].domain) == ("what is c", "c is", -1.0, "x")
    assert "lowest: relevance, -3.0" in rows[2].reason


def test_some_rows_come_in_the_order_that_is_asked_for_and_with_their_earlier_turns(selection):
    samples = [sample(name, ("system", "be brief")) for name in "abcd"]
    rows = list(OwnerRows(samples, selection, rows=[2, 0]))
    assert [row.id for row in rows] == ["c", "a"]
    assert rows[0].earlier == (("system", "be brief"),)


def test_without_features_and_findings_a_low_score_is_all_that_is_wrong(tmp_path):
    write_table(tmp_path / "scores.parquet", iter("ab"), {"score": torch.tensor([1.0, -1.0])})
    plain = Selection(ScoreTable(tmp_path / "scores.parquet"), Threshold("score", 0.0), "me")
    rows = list(OwnerRows([sample("a"), sample("b")], plain))
    assert [(row.causes, row.features, row.group) for row in rows] == [((), {}, ""), (("low score",), {}, "")]
