from __future__ import annotations

import pytest

from clues.errors import ConfigError
from clues.settings import RunSettings, ScoreSettings, read_toml, validated

VALUES = {"samples": "s.jsonl", "validation": ["v.jsonl"], "anchors": ["a.jsonl"]}


def test_every_wrong_setting_is_told_at_once_with_its_key():
    wrong = ["lora.r=0", "scoring.similarty=dot", "training.epochs=many", "nokey", "training.schedule=cosin"]
    with pytest.raises(ConfigError) as caught:
        validated(ScoreSettings, {}, wrong)
    lines = str(caught.value)
    for key in ("lora.r", "did you mean 'similarity'", "training.epochs", "nokey", "samples: is required", "'cosine'?"):
        assert key in lines


def test_overrides_are_read_as_toml():
    settings = validated(
        ScoreSettings, VALUES, ["lora.target_modules=['k_proj']", "scoring.similarity=dot", "seed = 3"]
    )
    assert (settings.lora.target_modules, settings.scoring.similarity, settings.seed) == (["k_proj"], "dot", 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evaluation": {"arms": ["oracle"]}}, "'oracle' needs labels of every client; a has none"),
        ({"selection": {"threshold": "oracle-ratio"}}, "needs clients.labels"),
        ({"clients": [{"id": "a", "data": "d"}, {"id": "a", "data": "e"}]}, "two clients share an id"),
        ({"collaboration": {"mode": "federated", "rounds": 4}, "training": {"steps": 3}}, "too few for 4 rounds"),
        ({"collaboration": {"train": False}}, "evaluation.arms: mixed, selected are trained models"),
        ({"clients": [{"id": "../a", "data": "d"}]}, "clients.0.id"),
        (
            {"merging": {"weights": "quality"}, "scoring": {"method": "clues"}},
            "merging.weights: quality needs scores that are log-odds, those of scoring.method auto",
        ),
        (
            {"collaboration": {"mode": "federated"}, "scoring": {"preconditioner": "adam"}},
            "scoring.preconditioner: rounds of a federation carry no optimizer moments",
        ),
    ],
)
def test_settings_that_do_not_fit_together(change, message):
    values = {"validation": ["v"], "anchors": ["a"], "clients": [{"id": "a", "data": "d"}]}
    with pytest.raises(ConfigError, match=message):
        validated(RunSettings, values | change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["scoring.walk=in-run", "scoring.by=layer"], "scoring.walk: in-run is method clues without"),
        (["scoring.projection=64"], "scoring.projection: is for method less, or clues with preconditioner adam"),
        (
            ["scoring.method=paper", "scoring.preconditioner=adam", "scoring.projection=64"],
            "scoring.projection: is for",
        ),
        (["scoring.method=less", "scoring.projection=64", "scoring.by=layer"], "scoring.by: projected gradients have"),
        (["scoring.method=less", "scoring.projection=-1"], "scoring.projection: input should be greater"),
        (["scoring.by=tensor"], "scoring.by: input should be 'none', 'layer' or 'module'"),
    ],
)
def test_scoring_settings_that_do_not_fit_together(change, message):
    with pytest.raises(ConfigError, match=message):
        validated(ScoreSettings, VALUES, change)
    for allowed in (["scoring.method=less"], ["scoring.method=clues", "scoring.preconditioner=adam"]):
        assert validated(ScoreSettings, VALUES, [*allowed, "scoring.projection=64"]).scoring.projection == 64


def test_broken_toml_and_missing_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.toml: no such file"):
        read_toml(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_text("a = ")
    with pytest.raises(ConfigError, match=r"a\.toml: is not valid TOML"):
        read_toml(tmp_path / "a.toml")
