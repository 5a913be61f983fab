"""Tasks of the LM Evaluation Harness on a tiny model, and our multiple choice compared with it on the same items."""

from __future__ import annotations

import json

import pytest
import torch

pytest.importorskip("lm_eval")

from typer.testing import CliRunner

from clues.cli import app
from clues.data.questions import read_questions
from clues.errors import ConfigError, EvaluationError
from clues.evaluation import choices
from clues.evaluation.choices import evaluate_choices
from clues.evaluation.harness import check_harness, evaluate_harness, harness_digest
from clues.evaluation.test_set import HeldOut
from clues.models.adapters import adapter_state, save_adapter
from clues.settings import DataSettings, HarnessSettings, LoraSettings

ROWS = [
    {"prompt": "what is a bone", "choices": ["rate", "an abnormal heart", "a bond"], "answer": 1},
    {"prompt": "is it so", "choices": ["yes", "no", "maybe"], "answer": 2},
    {"prompt": "a trade of what", "choices": ["of price", "of bond with a fixed rate"], "answer": 0},
    {"prompt": "the nerve is", "choices": ["a heart", "a heart.", "é", "the the"], "answer": 3},
    {"prompt": "quel pH", "choices": ["le suc gastrique", "la bile", "la salive", "un os", "心臓"], "answer": 1},
]
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {items}, cache_dir: {cache}}}
test_split: train
output_type: {kind}
doc_to_text: "{{{{prompt}}}}"
doc_to_target: answer
{more}
"""
CHOICES = """doc_to_choice: choices
target_delimiter: ""
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
GENERATED = """generation_kwargs: {max_gen_toks: 4, until: ["</s>"]}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
  - {metric: bleu, aggregation: bleu, higher_is_better: true}
filter_list:
  - {name: first, filter: [{function: take_first}]}
"""


@pytest.fixture
def tasks(tmp_path):
    folder = tmp_path / "tasks"
    folder.mkdir()
    items = tmp_path / "quiz.jsonl"
    items.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name, kind, more in (("quiz", "multiple_choice", CHOICES), ("told", "generate_until", GENERATED)):
        places = {"items": items, "cache": tmp_path / "cache"}
        (folder / f"{name}.yaml").write_text(TASK.format(name=name, kind=kind, more=more, **places))
    return folder


@pytest.fixture
def measured(monkeypatch):
    """The log-likelihoods of all options, in the order of measuring: ours or the harness's, each time."""
    from lm_eval.models.huggingface import HFLM

    result = []
    ours, theirs = choices.log_likelihoods, HFLM.loglikelihood

    def by_us(*arguments, **options):
        result.append(ours(*arguments, **options))
        return result[-1]

    def by_them(*arguments, **options):
        found = theirs(*arguments, **options)
        result.append(torch.tensor([likelihood for likelihood, _ in found]))
        return found

    monkeypatch.setattr(choices, "log_likelihoods", by_us)
    monkeypatch.setattr(HFLM, "loglikelihood", by_them)
    return result


def by_both(model, base, tasks, chat_template=None):
    """(Our values, those of the harness)"""
    questions = read_questions([str(tasks.parent / "quiz.jsonl")])
    tests = HeldOut.of(base, [], DataSettings(template=chat_template), questions=questions)
    settings = HarnessSettings(tasks=["quiz"], folder=str(tasks), chat_template=chat_template is None)
    (ours,) = evaluate_choices(model, tests, batch_tokens=4096, what="").values()
    (theirs,) = evaluate_harness(model, base, settings, batch_tokens=4096, what="").values()
    return ours, theirs


def test_accuracies_and_log_likelihoods_are_those_of_the_harness(model, base, tasks, measured):
    template = tasks.parent / "template.jinja"
    turns = "{% for m in messages %}{{ m['role'] }}:{{ m['content'] }}</s>{% endfor %}"
    template.write_text(turns + "{% if add_generation_prompt %}assistant:{% endif %}")
    task = (tasks / "quiz.yaml").read_text()
    (tasks / "quiz.yaml").write_text(task.replace("{{prompt}}", "user:{{prompt}}</s>assistant:"))
    ours, theirs = by_both(model, base, tasks, str(template))
    assert {name: ours[name] for name in ("accuracy", "accuracy_norm")} == theirs
    assert ours["accuracy"] != ours["accuracy_norm"]  # or the test could not tell the two apart
    assert measured[0].tolist() == pytest.approx(measured[1].tolist(), abs=1e-4)


def test_the_harness_counts_white_space_at_the_end_of_a_prompt_as_part_of_each_option(model, base, tasks, measured):
    """That of the generation prompt of many chat templates. It changes accuracies by character alone."""
    ours, theirs = by_both(model, base, tasks)
    assert ours["accuracy"] == theirs["accuracy"]
    for row, options in zip(
        ROWS, (measured[1] - measured[0]).split([len(row["choices"]) for row in ROWS]), strict=True
    ):
        assert options.tolist() == pytest.approx([options[0].item()] * len(row["choices"]), abs=1e-4)
        assert options[0] < -0.1


def test_items_are_limited_and_the_model_is_left_as_it_was(model, base, tasks):
    before = base.tokenizer.pad_token
    settings = HarnessSettings(tasks=["quiz"], folder=str(tasks), limit=2)
    found = evaluate_harness(model, base, settings, batch_tokens=1, what="")
    assert {name: len(values) for name, values in found["quiz (harness)"].items()} == {
        "accuracy": 2,
        "accuracy_norm": 2,
    }
    assert base.tokenizer.pad_token == before


def test_generated_answers_have_the_filters_name_and_other_than_means_are_left_out(model, base, tasks, capsys):
    settings = HarnessSettings(tasks=["told"], folder=str(tasks))
    found = evaluate_harness(model, base, settings, batch_tokens=4096, what="")
    assert found == {"told (harness)": {"exact_match first": [0.0] * 5}}
    assert "told: bleu left out, which is no mean over items" in " ".join(capsys.readouterr().err.split())


def test_what_is_wrong_with_a_task_is_told_before_any_work(tasks, monkeypatch):
    import clues.evaluation.harness as harness

    original = harness._manager
    monkeypatch.setattr(harness, "_manager", lambda folder, defaults: original(folder, defaults=False))
    with pytest.raises(ConfigError, match=r"harness\.tasks: quizz unknown; did you mean quiz\?"):
        check_harness(HarnessSettings(tasks=["told", "quizz"], folder=str(tasks)))
    (tasks / "quiz.yaml").write_text((tasks / "quiz.yaml").read_text().replace("quiz.jsonl", "gone.jsonl"))
    with pytest.raises(EvaluationError, match=r"the data of quiz cannot be loaded \(.*\); check the network"):
        check_harness(HarnessSettings(tasks=["quiz"], folder=str(tasks)))


def test_a_missing_package_is_named_with_its_remedy(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "lm_eval.tasks", None)
    with pytest.raises(ConfigError, match="pip install lm-eval"):
        check_harness(HarnessSettings(tasks=["quiz"]))


def test_results_are_kept_until_a_task_or_its_data_change(tasks, tmp_path):
    settings = HarnessSettings(tasks=["quiz"], folder=str(tasks), limit=4)
    digest = harness_digest(settings)
    assert harness_digest(settings) == digest
    assert harness_digest(settings.model_copy(update={"limit": 3})) != digest
    items = tmp_path / "quiz.jsonl"
    items.write_text(items.read_text().replace("is it so", "is it not"))
    assert harness_digest(settings) != digest


def test_the_command_runs_tasks_on_the_model_with_its_adapter(model, base, tasks, tmp_path):
    save_adapter(adapter_state(model), LoraSettings(r=2, alpha=4), base, tmp_path / "adapter")
    options = ["--harness", "quiz,told", "--limit", "3", "--set", f"evaluation.harness.folder={tasks}", "--compare"]
    command = ["evaluate", "--model", base.name, "--adapter", str(tmp_path / "adapter"), *options]
    result = CliRunner().invoke(app, [*command, "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert found["evaluation"]["quiz (harness)"]["adapter"]["questions"] == 3
    assert found["evaluation"]["told (harness)"]["base"] == {"exact_match first": 0.0, "items": 3}
    assert "LM Evaluation Harness: exact_match first" in " ".join(result.output.split())
