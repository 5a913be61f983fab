from __future__ import annotations

import json

import pytest
import torch

from clues.commands.select import select
from clues.commands.suggest import suggest
from clues.data import telling
from clues.data.samples import read_private
from clues.errors import OutputError
from clues.io.files import write_json, write_toml
from clues.selection.threshold import Threshold
from clues.settings import RunSettings, SelectionSettings, Terms, validated
from clues.silo.folder import JOB, OWNER, THRESHOLD, open_folder
from clues.silo.tables import write_table
from scored import records, scored_folder


@pytest.fixture
def run(tmp_path):
    """A run of two clients, with scores and a threshold, as `clues run` leaves it."""
    source = tmp_path / "samples.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in records(9)))
    clients = [{"id": name, "data": str(source)} for name in ("a", "b")]
    config = {"validation": [str(source)], "anchors": [str(source)], "clients": clients}
    write_toml(tmp_path / "run/config.toml", config)
    terms = Terms.of(validated(RunSettings, config), digest="0").model_dump(mode="json")
    threshold = Threshold("score", 2.0, scale={"b": 2.0}).as_dict()
    for name in ("a", "b"):
        folder = tmp_path / "run/clients" / name
        write_json(folder / JOB, {"terms": terms, "validation": [], "anchors": []})
        write_json(folder / OWNER, {"id": name, "data": str(source), "dialect": "auto"})
        write_json(folder / THRESHOLD, threshold)
        scores = torch.arange(9, dtype=torch.float64)
        write_table(tmp_path / f"run/clients/{name}/scores.parquet", (f"s{n}" for n in range(9)), {"score": scores})
    return tmp_path / "run"


def test_a_scored_folder_is_selected_as_it_was_last(tmp_path):
    folder = scored_folder(tmp_path / "mine", records(9))
    assert sum(open_folder(folder).by_score.kept) == 5  # from log-odds of 0
    select(folder, SelectionSettings(threshold="score", score=-1.0))
    assert sum(open_folder(folder).by_score.kept) == 6


def test_what_scoring_said_of_the_files_is_not_said_again(tmp_path, capsys):
    folder = scored_folder(tmp_path / "mine", [{**row, "source": "web"} for row in records(9)])
    capsys.readouterr()
    telling._said.clear()
    open_folder(folder)
    select(folder, SelectionSettings())
    assert capsys.readouterr().err == ""
    read_private(tmp_path / "mine-samples.jsonl")
    assert "field 'source' is not used" in capsys.readouterr().err


def test_a_clients_folder_has_the_threshold_of_its_run(run):
    kept = {name: sum(open_folder(run / "clients" / name).by_score.kept) for name in ("a", "b")}
    assert kept == {"a": 7, "b": 5}
    assert open_folder(run / "clients/a").apply == f"clues run {run}/config.toml --out {run}"


def test_suggestions_of_a_client_are_in_its_folder_without_what_is_marked(run):
    (run / "clients/a/decisions.jsonl").write_text('{"id": "s4", "quality": "unsure"}\n{"id": "s0", "quality": ""}\n')
    file, rows = suggest(run / "clients/a", 20)
    assert file == run / "clients/a/to-review.jsonl"
    assert {row["id"] for row in rows} == {f"s{n}" for n in range(9)} - {"s4"}


def test_the_folder_of_a_run_with_one_client_is_that_clients(run):
    (run / "clients/b/scores.parquet").unlink()
    assert open_folder(run).path == run / "clients/a"


def refused(folder):
    with pytest.raises(OutputError) as raised:
        open_folder(folder).by_score  # noqa: B018
    return str(raised.value)


def test_what_is_no_owners_folder_is_told_in_one_sentence(run, tmp_path):
    assert refused(run) == f"{run}: has several clients; name one of {run}/clients/a, {run}/clients/b."
    assert refused(tmp_path) == f"{tmp_path}: holds no scores.parquet; run clues score with --out {tmp_path} first."
    (run / "clients/b" / THRESHOLD).unlink()
    assert "has no threshold yet; let the run finish first" in refused(run / "clients/b")
    (tmp_path / "samples.jsonl").write_text(json.dumps(records(1)[0]) + "\n")
    assert "has changed since it was scored" in refused(run / "clients/b")
