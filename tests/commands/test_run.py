"""`clues run` of three clients in one process: what it writes, and that it repeats."""

from __future__ import annotations

import json
import tomllib

import pandas
import pyarrow.parquet
import pytest
import torch

from judge_server import Server, serving


@pytest.mark.parametrize(
    "mode",
    [
        ["merging.weights=quality", "evaluation.generate=3", "evaluation.generate_samples=2"],
        [
            "scoring.method=clues",
            "scoring.walk=in-run",
            "merging.method=svd",
            "merging.weights=learned",
            "merging.weight_steps=2",
            'evaluation.arms=["base", "mixed", "selected", "public"]',
        ],
        ["collaboration.mode=federated", "collaboration.rounds=2"],
        [
            "collaboration.mode=federated",
            "collaboration.rounds=2",
            "collaboration.strategy=fedprox",
            'evaluation.arms=["base", "mixed", "selected", "oracle", "public"]',
        ],
    ],
)
def test_run_keeps_the_contract_and_repeats_to_the_same_numbers(clues, config, tmp_path, mode, base):
    options = [part for setting in mode for part in ("--set", setting)]
    clues("run", config, "--out", tmp_path / "one", *options)
    clues("run", tmp_path / "one" / "config.toml", "--out", tmp_path / "two")
    one, two = (json.loads((tmp_path / name / "metrics.json").read_text()) for name in ("one", "two"))
    assert one == two
    arms = tomllib.loads((tmp_path / "one" / "config.toml").read_text())["evaluation"]["arms"]
    merging = "collaboration.mode=federated" not in mode
    assert set(one["merge_weights"]) == (set(arms) - {"base", "public"} if merging else set())
    for weights in one["merge_weights"].values():
        assert set(weights) <= set(one["clients"])
        assert sum(weights.values()) == pytest.approx(1)
        equal = not any(setting.startswith("merging.weights") for setting in mode)
        assert (len(set(weights.values())) == 1) == equal or len(weights) == 1
    for client in one["clients"].values():
        assert {"precision", "recall", "f1", "auroc", "kept", "dropped"} <= set(client["selection"])
    if "merging.weights=quality" in mode:
        check_quality_weights(tmp_path / "one", one["merge_weights"])
    assert all(set(figures) == set(arms) for figures in one["evaluation"].values())
    quiz = one["evaluation"].pop("quiz")
    assert all(set(found) == {"accuracy", "accuracy_norm", "chance", "questions"} for found in quiz.values())
    assert quiz["base"] | {"chance": 0.5, "questions": 5} == quiz["base"]
    compared = {(row["domain"], row["measure"]) for row in one["comparisons"] if row["other"] == "public"}
    assert {("x", "nll"), ("y", "nll"), ("quiz", "accuracy"), ("quiz", "accuracy_norm")} <= compared
    for figures in one["evaluation"].values():
        assert figures["public"]["nll"] < figures["base"]["nll"]
        assert figures["mixed"]["nll"] < figures["base"]["nll"]
        assert all(("rouge_l" in found) == ("evaluation.generate=3" in mode) for found in figures.values())
    check_folder(tmp_path / "one", base)


def test_a_run_is_judged_and_a_repeated_one_needs_no_judge(clues, config, tmp_path):
    served = Server(lambda messages: "Score: 6" if "Score" in messages[0]["content"] else "Verdict: A")
    settings = ["collaboration.rounds=1", "training.steps=2", 'evaluation.arms=["base", "selected"]']
    settings += ["evaluation.generate=3", "evaluation.generate_samples=2", "evaluation.judge.model=tiny"]
    with serving(served):
        settings += [f"evaluation.judge.url={served.url}"]
        options = [part for setting in settings for part in ("--set", setting)]
        shown = clues("run", config, "--out", tmp_path / "run", *options)
    assert "Judge's score of generated answers (1 to 10, higher is better)" in " ".join(shown.output.split())
    metrics = json.loads((tmp_path / "run/metrics.json").read_text())
    assert metrics["evaluation"]["x"]["selected"]["judge_10"] == 6
    told = {(row["domain"], row["difference"]) for row in metrics["comparisons"] if row["measure"] == "judge_pairs"}
    assert told == {("x", 0), ("y", 0)}  # a judge that always prefers the first answer
    assert "judge_pairs" in (tmp_path / "run/report.html").read_text()
    clues("run", tmp_path / "run/config.toml", "--out", tmp_path / "run")
    assert json.loads((tmp_path / "run/metrics.json").read_text()) == metrics
    wrong = ("--set", "evaluation.tests=[]")
    shown = clues("run", tmp_path / "run/config.toml", "--out", tmp_path / "no", *wrong, code=2).stderr
    assert "evaluation.judge: judges answers to tests; give evaluation.tests" in shown


def test_rounds_train_on_all_of_a_clients_samples(clues, config, tmp_path, monkeypatch):
    import clues.silo.silo as silo

    seen = {}
    original = silo.fit

    def recorded(base, tokens, *, training, **options):
        if "mixed" in training.what:
            seen.setdefault(tokens[0].id[len("clean-")], []).append([t.id for t in tokens])
        return original(base, tokens, training=training, **options)

    monkeypatch.setattr(silo, "fit", recorded)
    options = ["collaboration.mode=federated", "collaboration.rounds=2", "training.epochs=1", "evaluation.arms=[]"]
    clues("run", config, "--out", tmp_path / "run", *[part for setting in options for part in ("--set", setting)])
    assert set(seen) == {"a", "b", "c"}
    for client, rounds in seen.items():
        assert [len(ids) for ids in rounds] == [5, 5]
        assert sorted(rounds[0] + rounds[1]) == sorted(f"clean-{client}.jsonl-{number}" for number in range(10))


def test_a_run_ends_with_its_selection_and_adapter_whatever_is_evaluated(clues, config, tmp_path):
    options = ["--set", "evaluation.arms=[]", "--set", 'selection.drop=["loop"]']
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    rows[0]["response"] = "bone nerve heart rate " * 5
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    clues("run", config, "--out", tmp_path / "run", *options)
    for client in ("a", "b", "c"):
        assert {"kept.jsonl", "dropped.jsonl", "selection.json"} <= {
            path.name for path in (tmp_path / "run/clients" / client).iterdir()
        }
    assert (tmp_path / "run/server/global/adapter_model.safetensors").is_file()
    assert json.loads((tmp_path / "run/metrics.json").read_text())["clients"]["a"]["checks"]["loop"] == 1
    dropped = [json.loads(line) for line in (tmp_path / "run/clients/a/dropped.jsonl").read_text().splitlines()]
    assert ["loops; dropped" in row["clues"]["reason"] for row in dropped if row["id"] == rows[0]["id"]] == [True]


def test_decisions_in_a_clients_folder_count_when_the_run_is_repeated(clues, config, tmp_path):
    run = (
        "run",
        config,
        "--out",
        tmp_path / "run",
        "--set",
        "evaluation.arms=[]",
        "--set",
        "collaboration.train=false",
    )
    clues(*run)
    assert not (tmp_path / "run/server/global/adapter_model.safetensors").exists()  # nothing is trained afterwards
    folder = tmp_path / "run/clients/a"
    assert (folder / "selection.json").is_file()
    dropped = [json.loads(line)["id"] for line in (folder / "dropped.jsonl").read_text().splitlines()]
    kept = [json.loads(line)["id"] for line in (folder / "kept.jsonl").read_text().splitlines()]
    marks = [{"id": name, "quality": "good"} for name in dropped] + [{"id": kept[0], "quality": "low"}]
    judged = tmp_path / "judged.csv"
    clues("review", folder, "--count", 100, "--export", judged)
    table = pandas.read_csv(judged, dtype=str).set_index("id")
    for mark in marks:
        table.loc[mark["id"], "quality"] = mark["quality"]
    table.to_csv(judged, sep=";")
    assert f"{len(marks)} marks now in" in clues("review", folder, "--reviewed", judged).stdout
    clues(*run)
    now = [json.loads(line)["id"] for line in (folder / "kept.jsonl").read_text().splitlines()]
    assert set(dropped) <= set(now)
    assert kept[0] not in now
    client = json.loads((tmp_path / "run/metrics.json").read_text())["clients"]["a"]
    assert client["selection"]["reviewed"] == len(marks)  # a count is all that leaves
    for file in ("metrics.json", "report.html"):
        assert not any(name in (tmp_path / "run" / file).read_text() for name in (*dropped, kept[0]))
    assert (
        f"{len(marks)} sample{'s were' if dropped else ' was'} decided by you" in (folder / "report.html").read_text()
    )
    pages = {file: file.read_bytes() for file in (tmp_path / "run").rglob("report.html")}
    clues("report", tmp_path / "run")
    assert pages == {file: file.read_bytes() for file in (tmp_path / "run").rglob("report.html")}


def test_a_failing_client_tells_its_kind_of_error_and_no_text(clues, config, tmp_path, monkeypatch):
    def leak(*_, **__):
        raise ValueError("the private SECRET text")

    monkeypatch.setattr("clues.silo.silo.Silo.score", leak)
    shown = clues("run", config, "--out", tmp_path / "run", code=2).stderr
    assert "select: a client failed: a: ValueError; its errors.log says more" in shown
    assert "SECRET" not in shown
    assert "SECRET" in (tmp_path / "run/clients/a/errors.log").read_text()
    assert "SECRET" not in (tmp_path / "run/clients/a/ledger.jsonl").read_text()


def test_validate_lists_every_error_at_once(clues, config):
    wrong = ["--set", "training.epochs=0", "--set", "scoring.similarity=l2", "--set", "traning.epochs=1"]
    shown = clues("validate", config, *wrong, code=2).stderr
    for part in ("training.epochs", "scoring.similarity", "did you mean 'training'"):
        assert part in shown
    assert "valid; 3 clients" in clues("validate", config).output


def check_quality_weights(out, merge_weights):
    """An adapter weighs as many samples as are expected to be good among those it was trained on."""
    expected = {"mixed": {}, "selected": {}}
    for client in "abc":
        scores = torch.tensor(
            pyarrow.parquet.read_table(out / "clients" / client / "scores.parquet")["score"].to_pylist()
        )
        expected["mixed"][client] = float(scores.sigmoid().sum())
        if kept := scores[scores >= 0].tolist():
            expected["selected"][client] = len(kept) * float(torch.tensor(kept).sigmoid().mean())
    for arm, sums in expected.items():
        shares = {client: value / sum(sums.values()) for client, value in sums.items()}
        assert merge_weights[arm] == pytest.approx(shares)


def check_folder(out, base):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    fresh = AutoModelForCausalLM.from_pretrained(base.name)
    PeftModel.from_pretrained(fresh, out / "server" / "global")
    assert tomllib.loads((out / "config.toml").read_text())["clients"][0]["id"] == "a"
    assert "AUROC cut" in (out / "report.html").read_text()
    for client in ("a", "b", "c"):
        folder = out / "clients" / client
        assert (folder / "kept.jsonl").is_file()
        assert (folder / "dropped.jsonl").is_file()
        check_ledger(folder)


def check_ledger(folder):
    """Nothing but tensors of the adapter, anchor scores and counts went out, in amounts that fit."""
    entries = [json.loads(line) for line in (folder / "ledger.jsonl").read_text().splitlines()]
    assert {entry["kind"] for entry in entries} >= {"prepare", "select", "judge", "train"}
    for entry in entries:
        for item in entry["items"]:
            group, _, name = item["name"].partition(".")
            if group == "arrays":
                assert "lora_" in name
            else:
                counts = {"samples", "unusable", "good_share", "weight", "checks", "verdicts", "clipped"}
                assert (group, name) in {("facts", name) for name in (*counts, "anchors", "missing", "mask_key")}
