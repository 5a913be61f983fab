"""Files as people bring them: read rightly, or refused in a sentence that names the place and the remedy."""

from __future__ import annotations

import gzip
import json
import shutil

import pandas
import pytest
import tomli_w
from typer.testing import CliRunner

from clues.cli import app
from clues.data.samples import read_samples

FAST = ["--method", "loss", "--set", "training.epochs=1", "--set", "lora.r=2", "--set", "training.batch_size=4"]


@pytest.fixture
def clues(tiny_model):
    def call(*arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exit_code == code, result.output + repr(result.exception)
        assert "Traceback" not in result.output
        return result

    return call


@pytest.fixture
def score(clues, tiny_model, write_samples, tmp_path):
    """Score a file against clean public ones, by the base model's loss."""
    public = ["--validation", write_samples("val.jsonl", 3), "--anchors", write_samples("anchors.jsonl", 3)]

    def call(path, *more, code=0):
        return clues("score", path, *public, "--model", tiny_model, "--out", tmp_path / "run", *FAST, *more, code=code)

    return call


@pytest.fixture
def evaluate(clues, tiny_model):
    return lambda *paths, code=0: clues("evaluate", *paths, "--model", tiny_model, code=code)


def record(number, **changes):
    return {"id": f"r{number}", "prompt": f"what is a bone {number}", "response": f"the heart rate {number}"} | changes


def write(path, *records, encoding="utf-8"):
    path.write_text("".join(json.dumps(each, ensure_ascii=False) + "\n" for each in records), encoding=encoding)
    return path


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_field_longer_than_csv_allows(evaluate, tmp_path):
    path = tmp_path / "long.csv"
    path.write_text("prompt,response\nwhat is a bone,heart\nwhat is a rate," + "nerve " * 30_000 + "\n")
    assert "nll" in evaluate(path).output


def test_a_table_saved_in_a_code_page_of_windows(score, tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes("prompt,response\nwhat is it,a nerve\nwhat is déjà vu,a nerve\n".encode("cp1252"))
    shown = score(path, code=2).stderr
    assert "table.csv, line 3: is not UTF-8 text (byte 10 of the line); convert the file" in shown


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_saved_by_a_spreadsheet(score, tmp_path, encoding):
    path = tmp_path / "table.csv"
    path.write_text("id;prompt;response\n1;what is it;un été\n2;what is a bond;a price\n;;\n", encoding=encoding)
    score(path)
    assert [sample.response for sample in read_samples(path)] == ["un été", "a price"]


def test_half_a_character_in_one_record(score, clues, tmp_path):
    path = tmp_path / "own.jsonl"
    broken = json.dumps({"prompt": "what \ud83d", "response": "a bone"})
    path.write_text("".join(json.dumps(record(n)) + "\n" for n in range(3)) + broken + "\n")
    assert "line 4: field 'prompt' contains half of a surrogate pair" in score(path).stderr
    clues("select", tmp_path / "run")
    dropped = lines(tmp_path / "run" / "dropped.jsonl")[-1]
    assert (dropped["prompt"], dropped["clues"]["score"]) == ("what \ud83d", None)


def test_empty_answers_in_one_file_of_many_good_ones(score, clues, tmp_path):
    path = tmp_path / "alpaca.json"
    rows = [
        {"instruction": f"what is {n}", "input": "", "output": "" if n in (3, 5) else f"rate {n}"} for n in range(7)
    ]
    path.write_text(json.dumps(rows, indent=1))
    told = score(path)
    assert "2 of 7 records cannot be used and are dropped: record 4, record 6: field 'output' is empty" in told.stderr
    assert "unusable" in told.stdout
    shown = clues("select", tmp_path / "run").stdout
    assert "unusable" in shown
    found = json.loads((tmp_path / "run" / "selection.json").read_text())
    kept, dropped = (lines(tmp_path / "run" / name) for name in ("kept.jsonl", "dropped.jsonl"))
    assert (found["unusable"], found["kept"] + found["dropped"]) == (2, 5)
    assert (len(kept), len(dropped)) == (found["kept"], found["dropped"] + 2)
    extra = [row.pop("clues") for row in dropped][-2:]
    assert dropped[-2:] == [rows[3], rows[5]]
    assert extra[0]["id"] is None
    assert extra[0]["reason"].startswith("cannot be used: alpaca.json, record 4: field 'output' is empty")
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Records that cannot be used" in page
    assert "alpaca.json, record 6" in page


def test_what_cannot_be_used_is_part_of_the_scored_file(score, clues, tmp_path):
    path = write(tmp_path / "own.jsonl", *[record(n) for n in range(3)], record(4, response=""))
    score(path)
    write(path, *[record(n) for n in range(3)], record(4, response=" "))
    assert "has changed since it was scored" in clues("select", tmp_path / "run", code=2).stderr


def test_good_and_bad_lines_mixed(score, clues, tmp_path, tiny_model):
    path = write(tmp_path / "own.jsonl", *[record(n) for n in range(4)])
    path.write_text(path.read_text() + '{"id": "x", "prompt": "what", "response": null}\n{"prompt": "wh\n[1, 2]\n')
    told = score(path).stderr
    for part in (
        "3 of 7 records",
        "line 5: field 'response' is missing",
        "line 6: broken JSON",
        "line 7: is not a JSON",
    ):
        assert part in told
    clues("select", tmp_path / "run")
    dropped = lines(tmp_path / "run" / "dropped.jsonl")[-3:]
    assert [row["clues"]["id"] for row in dropped] == ["x", None, None]
    assert [row.get("raw") for row in dropped] == [None, '{"prompt": "wh', "[1, 2]"]
    clues("train", path, "--out", tmp_path / "model", "--model", tiny_model, *FAST[2:])


def test_earlier_turns_and_the_system_of_alpaca_are_in_the_prompt(evaluate, tmp_path):
    path = tmp_path / "test.json"
    history = [["what is fixed", "the bond price"]]
    row = {"instruction": "and of that?", "input": "", "output": "the bone", "system": "be a nurse", "history": history}
    path.write_text(json.dumps([row]))
    assert "not used" not in evaluate(path).stderr
    (sample,) = read_samples(path)
    assert [turn["content"] for turn in sample.context] == [
        "be a nurse",
        "what is fixed",
        "the bond price",
        "and of that?",
    ]


def test_conversations_of_sharegpt(score, tmp_path):
    turns = [{"from": "system", "value": ""}, {"from": "human", "value": "what?"}, {"from": "gpt", "value": "a bone"}]
    path = tmp_path / "sharegpt.json"
    path.write_text(json.dumps([{"id": f"c{n}", "conversations": turns} for n in range(3)]))
    score(path)
    assert read_samples(path)[0].context == [{"role": "user", "content": "what?"}]


def test_the_passage_of_a_question_is_in_the_prompt(evaluate, tmp_path):
    row = {"id": 0, "context": "the bond is fixed", "question": "what is fixed?", "answer": "the bond", "source": "x"}
    path = write(tmp_path / "test.jsonl", row)
    assert "test.jsonl: field 'source' is not used in prompt or response" in evaluate(path).stderr
    assert read_samples(path)[0].context[0]["content"] == "the bond is fixed\n\nwhat is fixed?"


def test_a_call_of_a_tool_without_words(score, tmp_path):
    call = {"id": "c", "type": "function", "function": {"name": "price", "arguments": '{"of": "bond"}'}}
    turns = [
        {"role": "user", "content": "what is the price?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "fixed"},
        {"role": "assistant", "content": "the price is fixed"},
    ]
    path = write(tmp_path / "tools.jsonl", *[{"id": n, "messages": turns} for n in range(3)])
    # The tiny model's template knows no calls.
    assert "line 1 and 2 more: the model's chat template leaves out the tool call" in score(path, code=2).stderr
    assert read_samples(path)[0].context[1]["tool_calls"][0]["function"]["arguments"] == {"of": "bond"}


def test_prompt_and_completion_as_messages(score, tmp_path):
    row = {"prompt": [{"role": "user", "content": "what?"}], "completion": [{"role": "assistant", "content": "bone"}]}
    score(write(tmp_path / "trl.jsonl", *[row | {"id": n} for n in range(3)]))


def test_json_lines_in_a_file_named_json(score, tmp_path):
    score(write(tmp_path / "own.json", *[record(n) for n in range(3)]))


def test_compressed_shards_in_a_folder(score, tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for shard in range(2):
        text = "".join(json.dumps(record(n, id=n, response=f"bone {shard} {n}")) + "\n" for n in range(2))
        (folder / f"part-{shard}.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    score(folder)
    score(f"{folder}/*.gz", "--out", tmp_path / "again")
    assert [sample.id for sample in read_samples(folder)] == ["part-0:0", "part-0:1", "part-1:0", "part-1:1"]


def test_files_that_number_their_records_from_zero(score, tmp_path, clues, tiny_model):
    files = {}
    for name, start in (("val", 0), ("more", 10), ("anchors", 20), ("a", 30), ("b", 40), ("test", 50)):
        rows = [record(start + n, id=n) for n in range(3)]
        files[name] = str(write(tmp_path / f"zero-{name}.jsonl", *rows))
    public = {"validation": [files["val"], files["more"]], "anchors": [files["anchors"]]}
    settings = {
        **public,
        "clients": [{"id": name, "data": files[name]} for name in ("a", "b")],
        "model": {"id": str(tiny_model)},
        "scoring": {"method": "loss"},
        "training": {"epochs": 1.0},
        "evaluation": {"tests": [files["test"]], "arms": ["base"]},
    }
    (tmp_path / "run.toml").write_text(tomli_w.dumps(settings))
    clues("run", tmp_path / "run.toml", "--out", tmp_path / "together")
    score(files["a"], "--validation", files["val"], "--validation", files["more"])


@pytest.mark.parametrize("blank", ["", " ", None, float("nan")])
def test_an_input_that_says_nothing(evaluate, tmp_path, blank):
    path = write(tmp_path / "test.jsonl", {"instruction": "what is a bone", "input": blank, "output": "the heart"})
    evaluate(path)
    assert read_samples(path)[0].context == [{"role": "user", "content": "what is a bone"}]


def test_a_missing_text_of_pandas(evaluate, tmp_path):
    path = tmp_path / "test.parquet"
    frame = {"instruction": ["what", "why"], "input": ["a bone", float("nan")], "output": ["the heart", "a rate"]}
    pandas.DataFrame(frame).to_parquet(path)
    evaluate(path)
    assert [sample.context[0]["content"] for sample in read_samples(path)] == ["what\n\na bone", "why"]


def test_a_quote_that_is_never_closed(evaluate, tmp_path):
    path = tmp_path / "test.csv"
    path.write_text(
        'id,prompt,response\n1,what,heart\n2,how long,"6 feet and more\n3,why,a 12" bone\n4,who,"a ""b"" c"\n'
    )
    shown = evaluate(path, code=2).stderr
    assert shown.startswith("Error: ")
    assert "test.csv, line 3: a quote that opens a field here is not closed" in shown


def test_a_public_file_with_several_faults(evaluate, tmp_path):
    path = write(tmp_path / "test.jsonl", record(1), record(2, response=""), record(3, prompt=None), record(1))
    shown = evaluate(path, code=2).stderr
    for part in (
        "line 2: field 'response' is empty",
        "line 3: field 'prompt' is missing",
        "line 4: field 'id' repeats",
    ):
        assert part in shown


def test_the_same_file_as_validation_and_anchors(score, tmp_path):
    own = write(tmp_path / "own.jsonl", *[record(n) for n in range(3)])
    shutil.copy(tmp_path / "val.jsonl", tmp_path / "anchors.jsonl")
    assert "3 of 3 anchors are also in the validation set" in score(own).stderr


def test_one_record_in_two_validation_files(score, tmp_path):
    own = write(tmp_path / "own.jsonl", *[record(n) for n in range(3)])
    shared = {"prompt": "what is shared", "response": "a bond"}
    one, two = (write(tmp_path / f"{name}.jsonl", shared, record(name)) for name in ("one", "two"))
    shown = score(own, "--validation", one, "--validation", two, code=2).stderr
    assert "two.jsonl, line 1: repeats the record of" in shown
    assert "'id'" not in shown


def test_domains_that_are_missing_or_written_in_two_ways(evaluate, tmp_path):
    rows = [record(n, domain=domain) for n, domain in enumerate([float("nan"), "med", "med ", " ", "Med"])]
    told = evaluate(write(tmp_path / "test.jsonl", *rows))
    assert "'med ' as 'med'" in told.stderr
    assert "domains 'Med', 'med' differ only in capitals" in told.stderr
    assert [line for line in ("nan", "test", "med", "Med") if f"\n{line} " in "\n" + told.stdout] == [
        "test",
        "med",
        "Med",
    ]


def test_bad_records_of_clients_are_counted_and_stay_there(clues, tiny_model, write_samples, tmp_path):
    clients = []
    for name, bad in (("a", 2), ("b", 0)):
        good = lines(write_samples(f"clean-{name}.jsonl", 6))
        path = write(tmp_path / f"{name}.jsonl", *good, *[record(n, response="", prompt="SECRET") for n in range(bad)])
        clients.append({"id": name, "data": str(path)})
    settings = {
        "validation": [str(write_samples("val.jsonl", 3))],
        "anchors": [str(write_samples("anchors.jsonl", 3))],
        "clients": clients,
        "model": {"id": str(tiny_model)},
        "scoring": {"method": "loss"},
        "lora": {"r": 2},
        "training": {"epochs": 1.0},
        "evaluation": {"arms": ["base", "mixed"], "tests": [str(write_samples("test.jsonl", 2))]},
    }
    (tmp_path / "run.toml").write_text(tomli_w.dumps(settings))
    shown = clues("run", tmp_path / "run.toml", "--out", tmp_path / "run")
    assert "a.jsonl: 2 of 8 records cannot be used and are dropped: line 7, line 8: field 'response'" in shown.stderr
    assert "unusable" in shown.stdout
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {name: (c["samples"], c["unusable"]) for name, c in metrics["clients"].items()} == {"a": (6, 2), "b": (6, 0)}
    selection = json.loads((tmp_path / "run/clients/a/selection.json").read_text())
    assert (selection["kept"] + selection["dropped"], selection["unusable"]) == (6, 2)
    assert [row["prompt"] for row in lines(tmp_path / "run/clients/a/dropped.jsonl")[-2:]] == ["SECRET"] * 2
    assert ">unusable</th>" in (tmp_path / "run" / "report.html").read_text()
    for file in ("metrics.json", "report.html", "clients/a/ledger.jsonl"):
        assert "SECRET" not in (tmp_path / "run" / file).read_text()


@pytest.mark.parametrize(
    "row",
    [
        {"conversations": [{"from": "human", "value": "what {n}"}, {"from": "gpt", "value": "one two three four {n}"}]},
        {"prompt": [{"role": "user", "content": "w {n}"}], "completion": [{"role": "assistant", "content": "a b c d"}]},
        {"instruction": "what {n}", "response": "one two three four {n}", "context": "bone"},
    ],
)
def test_damage_is_written_in_the_layout_of_the_file(clues, tmp_path, row):
    rows = [json.loads(json.dumps(row).replace("{n}", str(n))) | {"id": None} for n in range(4)]
    path, out = write(tmp_path / "clean.jsonl", *rows), tmp_path / "mixed.jsonl"
    clues("corrupt", path, "--share", 1.0, "--kinds", "cut", "--out", out)
    clean, mixed = read_samples(path), read_samples(out)
    assert [sample.context for sample in mixed] == [sample.context for sample in clean]
    assert [s.response for s in mixed] == [" ".join(s.response.split()[: len(s.response.split()) // 2]) for s in clean]
    labels = lines(tmp_path / "mixed.labels.jsonl")
    assert [label["id"] for label in labels] == [sample.id for sample in mixed] == [sample.id for sample in clean]


def test_a_file_to_part_is_checked_whole_before_anything_is_written(clues, tmp_path):
    rows = [{"prompt": "x", "question": f"what is {n}", "response": "", "answer": f"a bone {n}"} for n in range(30)]
    path, out = write(tmp_path / "clean.jsonl", *rows), tmp_path / "parts"
    sizes = ["--clients", 2, "--validation", 2, "--anchors", 2, "--tests", 2, "--out", out]
    shown = clues("partition", path, *sizes, code=2).stderr
    assert shown.count("field 'response' is empty") == 10
    assert "and 20 more" in shown
    assert not out.exists()
    clues("partition", path, *sizes, "--set", "data.dialect=question-answer", "--shares", 1.0, "--kinds", "cut")
    assert all(not row["response"] for row in lines(out / "client-1.jsonl"))
    write(path, *rows[:3], {"note": "x"})
    assert (
        "line 4: field 'question' is missing"
        in clues(
            "partition", path, *sizes[:-1], tmp_path / "more", "--set", "data.dialect=question-answer", code=2
        ).stderr
    )
