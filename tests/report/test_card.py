"""The card of an adapter: numbers, settings and papers, and neither texts nor paths."""

from __future__ import annotations

import json

import pytest
from huggingface_hub import ModelCard

from clues.models import embedded
from clues.report.card import _published, write_cards
from clues.settings import RunSettings, validated

METRICS = {
    "clients": {
        "hospital": {"samples": 40, "selection": {"kept": 13}},
        "bank": {"samples": 20, "selection": {"kept": 19}},
    },
    "threshold": {"rule": "posterior", "value": 0.0, "scale": {}, "share": {}},
    "merge_weights": {"selected": {"hospital": 0.25, "bank": 0.75}},
    "evaluation": {"medical": {"base": {"nll": 3.05}, "mixed": {"nll": 2.6}, "selected": {"nll": 2.5}}},
    "comparisons": [{"domain": "medical", "measure": "nll", "verdict": "selected is better than mixed"}],
}


@pytest.fixture
def run(tmp_path):
    """Settings whose every file has a path, and folders of two adapters."""
    data = tmp_path / "secret.jsonl"
    data.write_text("")
    values = {
        "out": str(tmp_path),
        "validation": [str(data)],
        "anchors": [str(data)],
        "clients": [{"id": name, "data": str(data)} for name in ("hospital", "bank")],
        "model": {"id": str(tmp_path)},
        "data": {"template": str(data)},
        "evaluation": {"tests": [str(data)]},
    }
    for name in ("global", "adapters/mixed"):
        folder = tmp_path / "server" / name
        folder.mkdir(parents=True)
        (folder / "adapter_config.json").write_text("{}")
        (folder / "base_model.json").write_text('{"sha256": "0123abcd"}')
    (tmp_path / "versions.json").write_text(json.dumps({"clues": "1.2.3", "torch": "2.9"}))
    return tmp_path, validated(RunSettings, values).model_dump(mode="json")


def test_a_card_says_what_was_selected_how_and_what_came_of_it(run):
    folder, settings = run
    write_cards(folder, METRICS, settings)
    card = ModelCard.load(folder / "server/global/README.md")
    text = card.content
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("medical", "nll", 2.5)
    assert card.data.library_name == "peft"
    for line in (
        "| hospital | 40 | 13 | 0.250 |",
        "| bank | 20 | 19 | 0.750 |",
        "Rule `posterior`: a client keeps what scores at least 0.",
        "arXiv 2507.03004",
        "| 2.500 | 3.050 |",
        "- medical, nll: selected is better than mixed",
        "| `scoring.method` | `auto` |",
        "- torch 2.9",
        "`0123abcd`",
    ):
        assert line in text, line
    assert str(folder) not in text and "secret" not in text


def test_a_baseline_is_called_one(run):
    folder, settings = run
    write_cards(folder, METRICS, settings)
    text = (folder / "server/adapters/mixed/README.md").read_text()
    assert "all samples of the clients, without selection: a baseline" in text
    assert "| hospital | 40 | 40 |" in text and "## Selection" not in text


def test_a_base_model_is_named_if_it_is_published(tmp_path):
    assert _published("org/model") == "org/model"
    assert _published(embedded.NAME) == embedded.PUBLISHED
    assert [_published(path) for path in (str(tmp_path), "/gone/model", "~/model", "./model")] == [None] * 4
