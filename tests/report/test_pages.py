"""Pages hold what they should, and nothing that runs or is fetched."""

from clues.report.pages import Table, compared, signed, write_compare_page
from clues.report.run_page import write_run_page
from report.made import METRICS


def page(folder, **changes):
    return write_run_page(folder, METRICS | changes, {"seed": 1}).read_text()


def test_the_run_page_works_without_labels_and_without_tests(tmp_path):
    text = page(tmp_path)
    assert "1 client keeps 2 of 3 samples (67%)." in text
    assert '<th scope="row">a</th><td>3</td><td>2</td>' in text
    for absent in ("Models", "Absentees", "Learning curves", "Cost of scoring", "http:", "https:", "<script"):
        assert absent not in text


def test_the_run_page_shows_each_figure_that_was_measured(tmp_path):
    names = {"domain": "quiz", "measure": "accuracy", "arm": "selected", "other": "base"}
    row = {**names, "difference": 0.125, "low": -0.0625, "high": 0.25, "verdict": "no difference can be told"}
    evaluation = {
        "x": {"base": {"nll": 1.5, "token_f1": 0.25, "rouge_l": 0.125}},
        "quiz": {"base": {"accuracy": 0.375, "accuracy_norm": 0.625}},
    }
    text = page(tmp_path, evaluation=evaluation, comparisons=[row])
    for title, domain, figure in (
        ("Held-out NLL", "x", "1.500"),
        ("Token F1", "x", "0.250"),
        ("ROUGE-L", "x", "0.125"),
        ("accuracy, by likelihood (", "quiz", "0.375"),
        ("accuracy, by likelihood per character", "quiz", "0.625"),
    ):
        table = text[text.index(f"<h3>{title}" if title[0].isupper() else title) :].split("</table>")[0]
        assert f'<tr><th scope="row">{domain}</th><td>{figure}</td>' in table
        assert table.count("<td>") == 1  # only domains with the figure have a line
    for cell in ("selected − base", "+0.125", "−0.062 to +0.250", "no difference can be told"):
        assert f">{cell}</td>" in text


def test_the_run_page_names_models_and_says_a_note_of_several_clients_once(tmp_path):
    client = METRICS["clients"]["a"]
    noted = {**client, "selection": {**client["selection"], "note": "nothing is told apart"}}
    evaluation = {"x": {"base": {"nll": 1.5}, "mixed": {"nll": 1.25}}}
    text = page(tmp_path, clients={"a": noted, "b": noted}, evaluation=evaluation)
    assert '<p class="note">a, b: nothing is told apart.</p>' in text
    assert "<b>base</b>: the model before training; <b>mixed</b>: trained on all samples." in text


def test_differences_have_the_digits_that_tell_them_from_nothing():
    assert [signed(value) for value in (0.125, -0.0004, 2e-9, -1e-9, 0.0)] == [
        "+0.125",
        "−0.0004",
        "+0.000",
        "+0.000",
        "+0.000",
    ]


def test_the_run_page_shows_who_was_missing_and_the_rounds_where_it_is_told(tmp_path):
    absent = {"b": {"phase": "prepare", "reason": "<no answer>"}}
    text = page(tmp_path, absent=absent, faults={"c": ["sent NaN"]}, rounds={"x": {"mixed": [2.0, 1.5]}})
    assert (
        '<th scope="row">b</th><td class="label">absent since prepare</td><td class="text">&lt;no answer&gt;<' in text
    )
    assert '<th scope="row">c</th><td class="label">fault</td><td class="text">sent NaN<' in text
    assert 'aria-label="x, by round"' in text


def test_the_comparison_page_shows_every_table_and_fetches_nothing(tmp_path):
    shown = [Table("Selection", 1, ["method", "f1"], [["<b>", "0.5"]], "a note"), Table("Cost", 1, ["method"], [])]
    write_compare_page(tmp_path / "a.html", shown)
    text = (tmp_path / "a.html").read_text()
    assert '<td class="label">&lt;b&gt;</td><td>0.5</td>' in text
    assert text.index("a note") < text.index("<h2>Cost</h2>")
    assert "http:" not in text
    assert "<script" not in text


def test_where_nothing_was_measured_there_is_neither_difference_nor_interval():
    row = {"domain": "medical", "measure": "judge_10", "arm": "selected", "other": "base", "verdict": "none"}
    (table,) = compared([{**row, "difference": None, "low": None, "high": None}])
    assert table.lines == [["medical", "judge_10", "selected − base", "–", "–", "none"]]
