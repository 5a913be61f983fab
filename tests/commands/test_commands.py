"""Commands end to end on a tiny model: what they write, what they refuse."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import tomllib

import pandas
import pyarrow.parquet
import pytest
import tomli_w
import torch
from typer.testing import CliRunner

from clues.cli import app
from judge_server import Server, serving

FAST = ["--set", "training.epochs=2", "--set", "lora.r=2", "--set", "training.batch_size=4"]


@pytest.fixture
def clues(tiny_model):
    def call(*arguments: object, code: int = 0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output + repr(result.exception)
        return result

    return call


@pytest.fixture
def files(write_samples, clues, tmp_path):
    """Mixed samples with labels, a validation set of two domains, anchors."""
    clues("corrupt", write_samples("clean.jsonl", 12), "--share", 0.5, "--out", tmp_path / "mixed.jsonl")
    for part, count in (("val", 3), ("anchors", 4)):
        write_samples(f"{part}.jsonl", count)
    return tmp_path


def score(clues, tiny_model, files, out, *more, code=0):
    public = ["--validation", files / "val.jsonl", "--anchors", files / "anchors.jsonl"]
    return clues("score", files / "mixed.jsonl", *public, "--out", out, "--model", tiny_model, *FAST, *more, code=code)


def test_corrupt_keeps_ids_and_writes_the_truth_beside(files):
    clean, mixed, labels = (
        [json.loads(line) for line in (files / name).read_text().splitlines()]
        for name in ("clean.jsonl", "mixed.jsonl", "mixed.labels.jsonl")
    )
    assert [row["id"] for row in clean] == [row["id"] for row in mixed] == [row["id"] for row in labels]
    changed = [one != other for one, other in zip(clean, mixed, strict=True)]
    assert changed == [label["quality"] == "low" for label in labels]


def test_partition_makes_what_a_run_needs(clues, write_samples, tmp_path):
    source, out = write_samples("clean.jsonl", 40), tmp_path / "data"
    options = ["--validation", 3, "--anchors", 2, "--tests", 4, "--per-client", 10]
    clues("partition", source, "--clients", 2, "--shares", "0.8,0.2", *options, "--out", out)
    for client, low in (("client-1", 8), ("client-2", 2)):
        labels = [json.loads(line) for line in (out / f"{client}.labels.jsonl").read_text().splitlines()]
        assert [label["quality"] for label in labels].count("low") == low
    assert len((out / "validation.jsonl").read_text().splitlines()) == 3
    for wrong, message in (
        (["--clients", 2, "--shares", "0.1,0.2,0.3"], "shares: give one number"),
        (["--clients", 2, "--kinds", "magic"], "--kinds magic: not known"),
        (["--clients", "x,y", "--by", "owner"], "field 'owner' is never x, y"),
        (["--clients", 2, "--domain", "field"], "line 1: has no field 'field'"),
        (["--clients", 30], "fewer than two records are left"),
    ):
        shown = clues("partition", source, *wrong, *options, "--out", tmp_path / "wrong", code=2).stderr
        assert message in shown
        assert not (tmp_path / "wrong").exists()
    source.write_text(source.read_text() + json.dumps({"id": "empty", "prompt": "what", "response": ""}) + "\n")
    more = ["--clients", 2, "--max-words", 5, *options, "--out", tmp_path / "wrong"]
    assert "line 41: field 'response' is empty" in clues("partition", source, *more, code=2).stderr
    assert "exists already" in clues("partition", source, "--clients", 2, "--out", out, code=2).stderr


def test_score_then_select(clues, tiny_model, files):
    out = files / "run"
    score(clues, tiny_model, files, out)
    table = pyarrow.parquet.read_table(out / "scores.parquet").to_pydict()
    assert {"id", "score", "val"} <= set(table)
    assert len(list((out / "trajectory").glob("checkpoint-*"))) == 2
    clues("select", out, "--labels", files / "mixed.labels.jsonl", "--threshold", "anchor-mean")
    kept, dropped = (
        [json.loads(line) for line in (out / name).read_text().splitlines()] for name in ("kept.jsonl", "dropped.jsonl")
    )
    found = json.loads((out / "selection.json").read_text())
    assert (found["kept"], found["dropped"], found["rule"]) == (len(kept), len(dropped), "anchor-mean")
    assert {"threshold", "precision", "recall", "f1", "accuracy", "auroc"} <= set(found)
    originals = {row["id"]: row for row in map(json.loads, (files / "mixed.jsonl").read_text().splitlines())}
    for row in kept + dropped:
        extra = row.pop("clues")
        assert row == originals.pop(row["id"])
        assert (extra["score"] >= found["threshold"]) == extra["reason"].startswith("score ≥")
    assert not originals
    page = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert str(out / "report.html") in clues("report", out).stdout
    assert (out / "report.html").read_bytes() == page
    assert "holds neither metrics.json nor selection.json" in clues("report", files, code=2).stderr


def test_other_batch_size_and_a_second_process_give_the_same_scores(clues, tiny_model, files):
    tables = []
    for name, more in (("a", ()), ("b", ("--batch-size", 1)), ("c", ("--batch-size", 5))):
        score(clues, tiny_model, files, files / name, *more)
        clues("select", files / name)
        table = pyarrow.parquet.read_table(files / name / "scores.parquet")
        tables.append({column: torch.tensor(table[column].to_pylist()) for column in ("cosine", "score")})
    for name, other in (("b", tables[1]), ("c", tables[2])):
        # The log-odds are of signals in standard deviations of clean samples, which of a random model are small:
        # rounding shows more in them.
        for column, tolerance in (("cosine", 1e-5), ("score", 1e-3)):
            assert (tables[0][column] - other[column]).abs().max() <= tolerance * tables[0][column].abs().max()
        assert (files / name / "kept.jsonl").read_text().count("\n") == (files / "a/kept.jsonl").read_text().count("\n")


def test_score_at_a_given_trajectory_or_adapter_in_another_folder(clues, tiny_model, files):
    score(clues, tiny_model, files, files / "own")
    before = {p: p.stat().st_mtime_ns for p in (files / "own").rglob("*")}
    refused = score(clues, tiny_model, files, files / "own", "--set", "scoring.similarity=dot", code=2)
    assert "holds another run (scoring.similarity differ)" in refused.stderr
    assert {p: p.stat().st_mtime_ns for p in (files / "own").rglob("*")} == before
    trajectory = files / "own" / "trajectory"
    score(clues, tiny_model, files, files / "again", "--trajectory", trajectory)
    one, two = (pyarrow.parquet.read_table(files / n / "scores.parquet") for n in ("own", "again"))
    assert one.equals(two)
    score(clues, tiny_model, files, files / "single", "--adapter", max(trajectory.glob("checkpoint-*")))
    assert (files / "single" / "scores.parquet").is_file()


def test_a_scoring_that_was_killed_ends_with_the_same_bits(clues, tiny_model, files, write_samples):
    write_samples("mixed.jsonl", 200)
    slow = ("--batch-size", 1, "--set", "training.steps=4")
    score(clues, tiny_model, files, files / "whole", *slow)
    public = ["--validation", files / "val.jsonl", "--anchors", files / "anchors.jsonl"]
    options = ["--out", files / "killed", "--model", tiny_model, *FAST, *slow]
    command = [sys.executable, "-m", "clues.cli", "score", files / "mixed.jsonl", *public, *options]
    process = subprocess.Popen([str(part) for part in command], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list((files / "killed" / "store" / "passes").glob("*.safetensors")):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait(timeout=30)
    assert not (files / "killed" / "scores.parquet").exists()
    score(clues, tiny_model, files, files / "killed", *slow)
    for table in ("scores.parquet", "anchors.parquet"):
        assert pyarrow.parquet.read_table(files / "killed" / table).equals(
            pyarrow.parquet.read_table(files / "whole" / table)
        )


def test_score_while_training(clues, tiny_model, files):
    score(clues, tiny_model, files, files / "run", "--set", "scoring.walk=in-run")
    clues("select", files / "run", "--labels", files / "mixed.labels.jsonl")
    table = pyarrow.parquet.read_table(files / "run" / "scores.parquet").to_pydict()
    assert {"id", "score", "val", "paper"} <= set(table)


def test_train_merge_evaluate(clues, tiny_model, files):
    for name in ("one", "two"):
        clues(
            "train",
            files / "clean.jsonl",
            "--out",
            files / name,
            "--model",
            tiny_model,
            *FAST,
            "--seed",
            len(name) + ord(name[0]),
        )
    merge = ("merge", files / "one/adapter", files / "two/adapter", "--model", tiny_model, "--out")
    clues(*merge, files / "merged")
    learned = ("--weights", "learned", "--set", "merging.weight_steps=2")
    shown = clues(*merge, files / "learned", *learned, "--data", files / "anchors.jsonl").stderr
    assert re.search(r"Merge weights 0\.\d+, 0\.\d+: public loss", shown)
    assert (files / "learned/adapter_model.safetensors").is_file()
    for wrong in (learned, ("--data", files / "anchors.jsonl")):
        assert "need each other" in clues(*merge, files / "no", *wrong, code=2).stderr
    assert "use equal or learned" in clues(*merge, files / "no", "--weights", "samples", code=2).stderr
    other = files / "two/adapter/adapter_config.json"
    other.write_text(json.dumps(json.loads(other.read_text()) | {"lora_alpha": 99}))
    clues(*merge, files / "other-scaling")
    evaluate = ("evaluate", files / "clean.jsonl", "--adapter", files / "merged", "--model", tiny_model)
    assert "nll" in clues(*evaluate).output
    assert "a file of multiple-choice questions by --choices, or --harness" in clues("evaluate", code=2).stderr
    quiz = files / "quiz.jsonl"
    quiz.write_text(json.dumps({"prompt": "what is a bone", "choices": ["a bone", "a fixed rate"], "answer": "B"}))
    known = clues("evaluate", "--choices", quiz, "--model", tiny_model).output
    assert re.search(r"accuracy_norm +│ +[01]\.000 ", known)
    assert "nll" not in known
    answered = clues(*evaluate, "--generate", 3, "--set", "evaluation.generate_samples=2").output
    assert re.search(r"answers +│ +2 ", answered)
    for figure in ("nll", "exact_match", "token_f1", "rouge_l"):
        assert figure in answered
    compared = clues(*evaluate, "--compare", "--out", files / "evaluated").output
    assert "adapter − base" in compared
    assert set(json.loads((files / "evaluated/evaluation.json").read_text())["evaluation"]["clean"]) == {
        "base",
        "adapter",
    }
    assert "holds another run (compare" in clues(*evaluate, "--out", files / "evaluated", code=2).stderr


def test_evaluate_with_a_judge_goes_on_where_it_stopped(clues, tiny_model, files):
    served = Server(lambda messages: "Fine.\nScore: 6", lambda number: 200 if number <= 3 else 503)
    with serving(served):
        judge = [f"evaluation.judge.{key}" for key in (f"url={served.url}", "model=tiny", "retries=0", "concurrency=1")]
        options = [part for setting in judge for part in ("--set", setting)]
        run = ("evaluate", files / "val.jsonl", "--model", tiny_model, "--generate", 3, *options)
        assert "judgements are kept in a folder; name one by --out" in clues(*run, code=2).stderr
        stopped = clues(*run, "--out", files / "judged", code=2).stderr
        assert "then run the same command again: 2 of 3 judgements are kept" in stopped  # after a greeting
        assert "Traceback" not in stopped
        served.failing = lambda number: 200
        run = (*run, "--set", "evaluation.judge.timeout=30")  # which changes no result
        assert re.search(r"judge_10 +│ +6\.000 ", clues(*run, "--out", files / "judged").output)
        assert len({json.dumps(request) for request in served.requests}) == 4
    again = clues(*run, "--out", files / "judged").output  # the judge is gone
    assert re.search(r"judged +│ +3 ", again)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "evaluation.judge.model=m"], "evaluation.judge.url: is required; add it."),
        (["--set", "evaluation.judge={url = 'x/v1', model = 'm'}"], "url: is not the base URL of an endpoint"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm', scale = 5}"], "evaluation.judge.scale: input"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm', key = 'k'}"], "did you mean 'key_env'?"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm', budget = 1}"], "budget: needs input_price"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm', request = {n = 2}}"], "request: n cannot be"),
        (["--set", "evaluation.judge={url = 'http://h/v1', model = 'm'}"], "set evaluation.generate"),
        (["--limit", 3], "evaluation.harness.tasks: is required; add it."),
        (["--harness", ","], "evaluation.harness.tasks: is empty; give at least 1."),
        (["--compare"], "compare: compares an adapter with the base model; give --adapter"),
    ],
)
def test_wrong_settings_of_an_evaluation_are_one_sentence(clues, tiny_model, files, more, message):
    shown = clues("evaluate", files / "val.jsonl", "--model", tiny_model, *more, code=2).stderr
    assert message in shown
    assert shown.count("Error") == 1


def test_a_key_in_place_of_its_variable_is_never_shown(clues, tiny_model, files):
    given = "evaluation.judge={url = 'http://h/v1', model = 'm', key_env = 'sk-abc'}"
    shown = clues("evaluate", files / "val.jsonl", "--model", tiny_model, "--set", given, code=2).stderr
    assert "key_env: is not the name of an environment variable" in shown
    assert "sk-abc" not in shown


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--set", "scoring.modules=*.nothing.*"], "scoring.modules"),
        (["--set", "scoring.similarty=dot"], "did you mean 'similarity'"),
        (["--set", "training.learning_rate=-1", "--set", "lora.r=0"], "lora.r"),
        (["--set", "data.max_tokens=8", "--set", "data.dialect=alpaca"], "field 'instruction' is missing"),
        (["--set", "data.dialect=xml"], "data.dialect"),
        (["--method", "magic"], "scoring.method"),
        (["--set", "scoring.domain_weights.none=1.0"], "scoring.domain_weights"),
        (["--set", "lora.target_modules=['nope']"], "lora.target_modules"),
        (["--adapter", "/nowhere"], "contains no adapter"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(clues, tiny_model, files, more, message):
    shown = score(clues, tiny_model, files, files / "run", *more, code=2).stderr
    assert message in shown
    assert "Traceback" not in shown


def test_overlap_with_public_data_is_listed(clues, tiny_model, files):
    (files / "val.jsonl").write_text((files / "mixed.jsonl").read_text().splitlines()[0].replace("clean", "v"))
    result = score(clues, tiny_model, files, files / "run", "--method", "random")
    assert "1 samples are also in the validation or anchor set: clean.jsonl-0" in result.stderr


def test_findings_are_counted_and_drop_where_asked(clues, tiny_model, files, write_samples):
    rows = [json.loads(line) for line in write_samples("mixed.jsonl", 6).read_text().splitlines()]
    rows[2] |= {"response": "I'm sorry, but I can't help with that."}
    rows[4] |= {field: rows[1][field] for field in ("prompt", "response")}
    (files / "mixed.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (files / "tests.jsonl").write_text(json.dumps({**rows[3], "id": "test-1"}) + "\n")
    shown = score(clues, tiny_model, files, files / "run", "--method", "random", "--tests", files / "tests.jsonl")
    assert "1 samples are also in the tests" in shown.stderr
    assert re.search(r"check: duplicate +│ +1 ", shown.stdout)
    table = pyarrow.parquet.read_table(files / "run" / "scores.parquet").to_pydict()
    assert [row["id"] for row in rows] == table["id"]
    assert (table["checks"][2], table["checks"][3]) == (["refusal"], ["test"])
    assert {table["duplicate_of"][1], table["duplicate_of"][4]} & {rows[1]["id"], rows[4]["id"]}
    select = ("select", files / "run", "--threshold", "score", "--set", "selection.score=-1")
    clues(*select)
    assert not (files / "run" / "dropped.jsonl").read_text()
    clues(*select, "--drop", "duplicate,refusal")
    dropped = [json.loads(line)["clues"]["reason"] for line in (files / "run/dropped.jsonl").read_text().splitlines()]
    assert sorted(reason.split(" ")[0] for reason in dropped) == ["near-copy", "refuses;"]
    assert "selection.drop.0: input should be" in clues(*select, "--drop", "dupes", code=2).stderr


ARMS = ["base", "mixed", "selected", "oracle", "ratio", "public"]


@pytest.fixture
def config(clues, tiny_model, write_samples, tmp_path):
    """A labelled collaboration of three clients in two domains."""
    clients = []
    for name, share in (("a", 0.5), ("b", 0.2), ("c", 0.8)):
        data = tmp_path / f"{name}.jsonl"
        clues("corrupt", write_samples(f"clean-{name}.jsonl", 10), "--share", share, "--out", data)
        clients.append({"id": name, "data": str(data), "labels": str(tmp_path / f"{name}.labels.jsonl")})
    public = {
        name: [str(write_samples(f"{name}-{domain}.jsonl", 3, domain)) for domain in ("x", "y")]
        for name in ("validation", "anchors", "tests")
    }
    quiz = tmp_path / "quiz.jsonl"
    questions = [{"prompt": f"what is {n}", "choices": ["a bone", "a fixed rate"], "answer": n % 2} for n in range(5)]
    quiz.write_text("".join(json.dumps(question) + "\n" for question in questions))
    settings = {
        "validation": public["validation"],
        "anchors": public["anchors"],
        "clients": clients,
        "model": {"id": str(tiny_model)},
        "lora": {"r": 2},
        "training": {"epochs": 2.0, "batch_size": 4, "learning_rate": 5e-3},
        "evaluation": {"tests": public["tests"], "choices": [str(quiz)], "arms": ARMS},
    }
    path = tmp_path / "config.toml"
    path.write_text(tomli_w.dumps(settings))
    return path


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


@pytest.fixture
def experiment(config, tmp_path):
    """A file of settings with a table `compare` of the given content."""

    def write(**compare):
        values = tomllib.loads(config.read_text()) | {"compare": compare}
        values["evaluation"]["arms"] = ["base", "mixed", "selected", "oracle"]
        path = tmp_path / "experiment.toml"
        path.write_text(tomli_w.dumps(values))
        return path

    return write


def parquet(path):
    return pyarrow.parquet.read_table(path).to_pylist()


def test_compare_shares_the_training_and_goes_on(clues, experiment, tmp_path):
    path = experiment(methods=["clues", "random"], seeds=[1, 2])
    out = tmp_path / "compared"
    compare = ("compare", path, "--out", out, "--set", 'evaluation.arms=["mixed", "selected"]')
    shown = clues(*compare).output
    for method in ("clues", "random"):
        assert f"| {method} | anchor-mean |" in shown
        assert f"| selected | {method} |" in shown
    assert shown.count("| mixed | – |") == 4  # three domains and their mean
    assert "| arm | method | accuracy | accuracy by character |" in shown
    rows = parquet(out / "selection.parquet")
    assert {(row["method"], row["seed"]) for row in rows} == {(m, s) for m in ("clues", "random") for s in (1, 2)}
    mixed = [r for r in parquet(out / "models.parquet") if r["arm"] == "mixed"]
    assert len({(row["seed"], row["domain"], row["nll"]) for row in mixed}) == len(mixed) / 2
    assert '<td class="label">selected</td>' in (out / "results.html").read_text()
    before = {p: p.stat().st_mtime_ns for p in out.rglob("metrics.json")}
    assert clues(*compare).output.endswith(shown[shown.index("# Selection") :])
    assert {p: p.stat().st_mtime_ns for p in out.rglob("metrics.json")} == before


def test_rows_of_another_version_are_computed_anew(clues, experiment, tmp_path, monkeypatch):
    path, out = experiment(methods=["random"], seeds=[1]), tmp_path / "compared"
    compare = ("compare", path, "--out", out, "--set", 'evaluation.arms=["mixed"]')
    clues(*compare)
    (finished,) = out.rglob("metrics.json")
    old = json.loads(finished.read_text()) | {"version": "0.0.1"}
    old["evaluation"]["x"]["mixed"]["nll"] = 99.0
    finished.write_text(json.dumps(old))
    clues(*compare)
    assert all(row["nll"] < 99 for row in parquet(out / "models.parquet") if row["domain"] == "x")


@pytest.mark.parametrize("key", ["scoring.method=ppl", "collaboration.mode=federated", "seed=7", "out=elsewhere"])
def test_what_rows_are_labelled_by_cannot_be_overridden(clues, experiment, tmp_path, key):
    path = experiment(methods=["random"], seeds=[1])
    shown = clues("compare", path, "--out", tmp_path / "compared", "--set", key, code=2).stderr
    assert f"--set {key.partition('=')[0]}: is varied by the comparison itself; use --" in shown
    assert not (tmp_path / "compared").exists()


def test_rules_beside_a_score_are_those_of_that_score(clues, experiment, tmp_path):
    path = experiment(methods=["clues"], seeds=[1])
    options = ["--set", "scoring.similarity=dot", "--set", "evaluation.arms=[]", "--set", "collaboration.train=false"]
    clues("compare", path, "--out", tmp_path / "compared", *options)
    rows = [r for r in parquet(tmp_path / "compared/selection.parquet") if r["client"] == "a"]
    assert len(rows) > 5
    assert len({row["auroc"] for row in rows}) == 1  # all of one score: the inner product


def test_compare_merges_the_same_adapters_in_every_variant(clues, experiment, tmp_path, monkeypatch):
    import clues.silo.silo as silo

    calls = []
    for name in ("fit", "measured"):
        monkeypatch.setattr(silo, name, counting(calls, name, getattr(silo, name)))
    variants = [
        {"name": "exact"},
        {"name": "ties", "merging": {"method": "ties"}},
        {"name": "learned", "merging": {"weights": "learned", "weight_steps": 2}},
    ]
    path = experiment(methods=["clues"], seeds=[1], variants=variants)
    out = tmp_path / "compared"
    shown = clues("compare", path, "--out", out).output
    # Three clients, each trained on what it keeps and on the oracle's part, and scored, in the first variant alone.
    assert calls.count("trajectory") == 3
    assert 3 <= calls.count("fit") <= 6
    assert calls.count("measured") == 3
    selected = {r["variant"]: r["nll"] for r in parquet(out / "models.parquet") if r["arm"] == "selected"}
    assert len(set(selected.values())) == 3
    selection = [row for row in parquet(out / "selection.parquet") if row["client"] == "a"]
    assert len({row["auroc"] for row in selection}) == 1
    assert "| selected | clues | learned |" in shown
    # In each of three tables of losses, each variant merges the oracle's adapters in its own way.
    assert len(re.findall(r"\| oracle \| clues \| (?:exact|ties|learned) ", shown)) == 9
    costs = parquet(out / "costs.parquet")
    assert {row["variant"] for row in costs} == {"ties", "exact", "learned"}
    # Ten own samples, three anchors and three validation samples a domain, at two checkpoints.
    assert {(row["forward"], row["backward"]) for row in costs} == {((10 + 6 + 6) * 2, (10 + 6 + 6) * 2)}
    metrics = json.loads((out / "seed-1/merging/learned/clues/metrics.json").read_text())
    assert len(set(metrics["merge_weights"]["mixed"].values())) == 3


def test_compare_fills_in_the_names_of_variants(clues, experiment, tmp_path):
    path = experiment(methods=["length"], seeds=[1], variants=[{"name": "b"}, {"name": "c"}])
    values = tomllib.loads(path.read_text())
    named = {key: str(tmp_path / f"{{variant}}{end}") for key, end in (("data", ".jsonl"), ("labels", ".labels.jsonl"))}
    values |= {"clients": [{"id": "one", **named}], "collaboration": {"train": False}, "evaluation": {"arms": []}}
    path.write_text(tomli_w.dumps(values))
    clues("compare", path, "--out", tmp_path / "compared")
    good = {row["variant"]: row["good"] for row in parquet(tmp_path / "compared/selection.parquet")}
    assert good == {"b": 8, "c": 2}  # of ten samples, 20 and 80 % are corrupted


def counting(calls, name, function):
    def counted(*arguments, **options):
        calls.append("trajectory" if "trajectory" in options else name)
        return function(*arguments, **options)

    return counted


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([{"merging": {"method": "exact"}}], "variants.0.name: is required"),
        ([{"name": "a"}, {"name": "a"}], "compare.variants.name: two variants share a name"),
        ([{"name": "a", "seed": 3}], "compare.variants: 'a' sets seed; leave that to [compare] itself"),
        ([{"name": "a", "scoring": {"method": "ppl"}}], "compare.variants: 'a' sets scoring.method"),
        ([{"name": "a", "mergin": {"method": "ties"}}], "did you mean 'merging'"),
        ([{"name": "a", "merging": {"method": "mean"}}], "merging.method"),
        ([{"name": "a", "merging": "ties"}], "merging"),
    ],
)
def test_wrong_variants_are_told_before_anything_is_run(clues, experiment, tmp_path, variants, message):
    path = experiment(methods=["random"], variants=variants)
    shown = clues("compare", path, "--out", tmp_path / "compared", code=2).stderr
    assert message in shown
    assert not (tmp_path / "compared").exists()


def test_help_shows_examples(clues):
    for command in (
        "demo",
        "run",
        "score",
        "select",
        "report",
        "train",
        "merge",
        "evaluate",
        "corrupt",
        "validate",
        "compare",
        "partition",
        "suggest",
        "review",
    ):
        assert "Example: clues " + command in clues(command, "--help").output


def test_reviewed_samples_overrule_the_score(clues, tiny_model, files):
    out = files / "reviewed"
    score(clues, tiny_model, files, out, "--method", "auto")
    shown = clues("suggest", out, "--count", "4").stdout
    suggested = [json.loads(line) for line in (out / "to-review.jsonl").read_text().splitlines()]
    assert len(suggested) == 4
    assert all(row["id"] in shown and row["quality"] == "" for row in suggested)
    first, second = suggested[0]["id"], suggested[-1]["id"]
    marks = [{"id": first, "quality": "good", "remark": "short and right"}, {"id": second, "quality": "low"}]
    (out / "decisions.jsonl").write_text("".join(json.dumps(mark) + "\n" for mark in marks))
    assert re.search(r"reviewed +│ +2 ", clues("select", out).stdout)
    kept = {json.loads(line)["id"]: json.loads(line)["clues"] for line in (out / "kept.jsonl").read_text().splitlines()}
    assert kept[first]["reason"] == "kept by the owner"
    assert second not in kept
    clues("suggest", out, "--count", "4")
    again = [json.loads(line)["id"] for line in (out / "to-review.jsonl").read_text().splitlines()]
    assert not {first, second} & set(again)
    (out / "decisions.jsonl").write_text('{"id": "nobody", "quality": "good"}\n')
    assert "'nobody' is the id of no sample here" in clues("select", out, code=2).stderr
