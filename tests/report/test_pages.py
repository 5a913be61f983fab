from __future__ import annotations

from clues.lab.tables import Table
from clues.report.pages import write_compare_page, write_run_page, write_samples_page


def test_the_samples_page_shows_the_worst_first_and_escapes_their_text(tmp_path):
    rows = [
        {"id": "good", "prompt": "p", "response": "r", "score": 0.9, "kept": True, "reason": "score ≥ 0.5"},
        {
            "id": "bad",
            "prompt": "<script>alert(1)</script>",
            "response": "r",
            "score": -0.1,
            "kept": False,
            "reason": "<b>low</b>",
        },
    ]
    write_samples_page(tmp_path / "a.html", rows, {"kept": 1, "dropped": 1, "rule": "score", "threshold": 0.5})
    text = (tmp_path / "a.html").read_text()
    assert text.index(">bad<") < text.index(">good<")
    assert "<script>" not in text
    assert "http" not in text


def test_the_run_page_works_without_labels_and_without_tests(tmp_path):
    metrics = {
        "clients": {"a": {"samples": 3, "selection": {"kept": 2, "dropped": 1}}},
        "threshold": {"rule": "ratio", "value": None},
        "variants": {"paper ratio": {"a": {"kept": 1}}},
        "evaluation": {},
        "comparisons": [],
    }
    write_run_page(tmp_path / "a.html", metrics, {"seed": 1})
    text = (tmp_path / "a.html").read_text()
    assert "<td>a</td><td>3</td><td>2</td>" in text
    assert "Held-out" not in text
    assert "Differences" not in text


def test_the_run_page_shows_each_figure_that_was_measured(tmp_path):
    names = {"domain": "quiz", "measure": "accuracy", "arm": "selected", "other": "base"}
    row = {**names, "difference": 0.125, "low": -0.0625, "high": 0.25, "verdict": "no difference can be told"}
    metrics = {
        "clients": {},
        "threshold": {"rule": "ratio", "value": None},
        "variants": {},
        "evaluation": {
            "x": {"base": {"nll": 1.5, "token_f1": 0.25, "rouge_l": 0.125}},
            "quiz": {"base": {"accuracy": 0.375, "accuracy_norm": 0.625}},
        },
        "comparisons": [row],
    }
    write_run_page(tmp_path / "a.html", metrics, {"seed": 1})
    text = (tmp_path / "a.html").read_text()
    for title, domain, figure in (
        ("Held-out NLL", "x", "1.500"),
        ("Token F1", "x", "0.250"),
        ("ROUGE-L", "x", "0.125"),
        ("accuracy, by likelihood (", "quiz", "0.375"),
        ("accuracy, by likelihood per character", "quiz", "0.625"),
    ):
        table = text[text.index(title) :].split("</table>")[0]
        assert f"<tr><td>{domain}</td><td>{figure}</td>" in table
        assert table.count("<td>") == 2  # only domains with the figure have a line
    cells = ("quiz", "accuracy", "selected − base", "+0.125", "-0.062 to +0.250", "no difference can be told")
    assert "".join(f"<td>{cell}</td>" for cell in cells) in text


def test_the_comparison_page_shows_every_table_and_fetches_nothing(tmp_path):
    shown = [Table("Selection", 1, ["method", "f1"], [["<b>", "0.5"]], "a note"), Table("Cost", 1, ["method"], [])]
    write_compare_page(tmp_path / "a.html", shown)
    text = (tmp_path / "a.html").read_text()
    assert '<td class="label">&lt;b&gt;</td><td>0.5</td>' in text
    assert text.index("a note") < text.index("<h2>Cost</h2>")
    assert "http" not in text
    assert "<script" not in text
