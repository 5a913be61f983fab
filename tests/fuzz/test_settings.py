"""Whatever a file of settings holds: settings, or sentences."""

from __future__ import annotations

from pathlib import Path

import tomli_w
from hypothesis import given
from hypothesis import strategies as st
from mutation import VALUES, changed_bytes, changed_record, fuzzed

from clues.errors import CluesError
from clues.settings import RunSettings, ScoreSettings, read_toml, validated

RUN = {
    "validation": ["v.jsonl"],
    "anchors": ["a.jsonl"],
    "clients": [{"id": "a", "data": "d.jsonl"}, {"id": "b", "data": "e.jsonl", "labels": "l.jsonl"}],
    "training": {"epochs": 1.0, "learning_rate": 1e-3},
    "scoring": {"method": "clues", "domain_weights": {"x": 1.0}},
    "collaboration": {"mode": "federated", "rounds": 2},
}
TEXTS = [tomli_w.dumps(RUN).encode()]
KEYS = ["lora.r", "scoring.domain_weights.x", "clients", "a.b.c", "", "scoring", "training.epochs", "clients.0.id"]


@fuzzed
@given(content=changed_bytes(TEXTS))
def test_any_file(tmp_path, content):
    file = Path(tmp_path) / "run.toml"
    file.write_bytes(content)
    try:
        validated(RunSettings, read_toml(file), folder=Path(tmp_path))
    except CluesError as error:
        assert 0 < len(str(error)) < 20_000


@fuzzed
@given(values=changed_record([RUN]))
def test_any_values(values):
    try:
        validated(RunSettings, values)
    except CluesError as error:
        assert str(error)


@fuzzed
@given(overrides=st.lists(st.one_of(st.text(max_size=30), st.builds("{}={}".format, st.sampled_from(KEYS), VALUES))))
def test_any_override(overrides):
    try:
        validated(ScoreSettings, {"samples": "s", "validation": ["v"], "anchors": ["a"]}, overrides)
    except CluesError as error:
        assert str(error)
