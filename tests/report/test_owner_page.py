"""The owner's page: what it says, and that it works in a browser."""

import base64
import gzip
import json
import re
import shutil
from dataclasses import replace

import pytest

from clues.collaboration.ledger import Ledger
from clues.report.neighbours import Neighbours
from clues.report.owner_page import write_owner_page
from clues.report.packing import packed
from clues.report.run_page import write_run_page
from clues.report.sent import read_sent
from clues.selection.threshold import Threshold
from clues.silo.review import reviewed
from report.made import EVIL, METRICS, owner_data, sample


def unpacked(text):
    return json.loads(gzip.decompress(base64.b64decode(text)))


def test_the_page_says_how_many_and_why_and_nothing_private_is_html(tmp_path):
    text = write_owner_page(tmp_path, owner_data(tmp_path)).read_text()
    assert "30 of 60 samples are kept (50%), 30 are dropped by their score. 1 record cannot be used." in text
    assert "threshold 0" in text
    assert "<h3><span>unusually easy or hard to predict</span><span>30</span></h3>" in text
    assert "Show all 30" in text
    assert "Short responses score higher than long ones" in text or "hardly depends on the length" in text
    assert "Low-loss responses score higher than high-loss ones (rank correlation −1.00)." in text
    assert "Nothing: these samples were scored here" in text
    assert EVIL not in text
    assert "http:" not in text and "https:" not in text


def test_rows_come_worst_first_with_their_near_copies_and_neighbour(tmp_path):
    text = write_owner_page(tmp_path, owner_data(tmp_path)).read_text()
    table = unpacked(re.search(r'id="columns">([^<]+)<', text)[1])
    assert table["id"][0] == "s59"
    assert table["score"] == sorted(table["score"])
    last = len(table["id"]) - 1
    assert table["group"][last] == table["group"][last - 1] == last  # s0 and s1, its copy
    assert (table["nearest"][0], table["likeness"][0] > 0.3) == (0, True)
    assert table["bands"]["agreement"][:2] == [pytest.approx(-1, abs=0.05), pytest.approx(1, abs=0.05)]
    (part,) = re.findall(r'class="texts">([^<]+)<', text)
    assert unpacked(part)[0][:2] == ["what is a bone 59", "a bone is 59 of many"]
    assert unpacked(part)[-2][1] == EVIL


def test_the_same_rows_give_the_same_bytes_even_with_a_lone_surrogate():
    assert packed(["\ud800a"]) == packed(["\ud800a"])
    assert unpacked(packed(["\ud800a"])) == ["?a"]


def test_a_sample_without_a_shared_word_has_no_neighbour():
    clean = [sample("a", "what is a bone", "hard"), sample("b", "what is a bond", "a debt")]
    pairs = [("what is a bond", "debt"), ("ça", "va")]
    assert [place for place, _ in Neighbours(clean)(pairs)] == [1, -1]
    assert Neighbours([sample("empty", "", "")])(pairs) == [(-1, 0.0), (-1, 0.0)]


def test_the_ledger_is_told_in_words(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")
    items = {"facts.anchors": ([1], b"12"), "facts.weight": ([1], b"7"), "arrays.q.lora_A": ([2, 8], b"1234")}
    ledger.write("train.select", items)
    with (tmp_path / "ledger.jsonl").open("a") as stream:
        stream.write('{"time": "cut')
    (message,) = read_sent(tmp_path / "ledger.jsonl")
    assert message.content == "an adapter (1 tensor); scores of the anchors; number of samples trained on"
    assert (message.kind, message.bytes) == ("train.select", 7)
    assert read_sent(tmp_path / "none.jsonl") == []


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium)
        yield running
        running.close()


def opened(browser, path):
    """A page whose console errors are collected in `errors`."""
    page, errors = browser.new_page(viewport={"width": 1100, "height": 800}), []
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(path.as_uri())
    return page, errors


def test_both_pages_work_in_a_browser(tmp_path, browser):
    run, errors = opened(browser, write_run_page(tmp_path / "run", METRICS, {"seed": 1}))
    assert run.locator("h1").inner_text() == "Run run"
    assert errors == []
    page, errors = opened(browser, write_owner_page(tmp_path / "own", owner_data(tmp_path / "own", 3000)))
    page.wait_for_selector("body[data-state=ready]")
    count, grid, rows = page.locator("#count"), page.locator("#grid"), page.locator("#body [role=row]")
    assert count.inner_text() == "3,000 samples"
    assert 5 < rows.count() < 60  # only those in view
    assert "what is a bone 2999" in rows.first.inner_text()

    page.get_by_label("Search").fill("WHAT IS A BONE 12")
    assert count.inner_text() == "111 of 3,000 samples"
    page.get_by_label("Decision").select_option("kept")
    page.get_by_label("Domain").select_option("y")
    assert count.inner_text() == "55 of 3,000 samples"
    page.get_by_label("Search").fill("no such words")
    assert (count.inner_text(), rows.count()) == ("0 of 3,000 samples", 0)
    assert page.get_by_text("No sample is like that").is_visible()
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function("document.getElementById('count').textContent === '3,000 samples'")
    page.get_by_label("Reason").select_option(label="near-copy of another sample (600)")
    assert count.inner_text() == "600 of 3,000 samples"
    page.get_by_label("Reason").select_option("")

    page.get_by_role("button", name="Score").focus()  # sort by keyboard
    page.keyboard.press("Enter")
    assert page.locator("[aria-sort]").get_attribute("aria-sort") == "descending"
    grid.focus()
    page.keyboard.press("ArrowDown")  # from s0 to s1
    assert page.evaluate("document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    assert dialog.get_by_role("heading", level=2).inner_text() == "s1"
    assert EVIL in dialog.inner_text()
    assert "Nearest clean sample" in dialog.inner_text()
    assert "Near-copies (1)" in dialog.inner_text()
    page.keyboard.press("ArrowRight")
    assert dialog.get_by_role("heading", level=2).inner_text() == "s2"
    page.keyboard.press("Escape")
    assert dialog.count() == 0 or not dialog.is_visible()
    grid.focus()
    page.keyboard.press("End")
    assert "what is a bone 2999" in page.locator("#body .active").inner_text()
    assert page.evaluate("window.ran") is None
    assert errors == []


@pytest.mark.parametrize("decisions", [{}, {0: False, 59: True}, dict.fromkeys(range(60), False)])
@pytest.mark.parametrize("rule", [Threshold("ratio", share={"me": 0.5}), Threshold("score", 9.0)])
def test_every_selection_has_a_page(tmp_path, rule, decisions):
    data = owner_data(tmp_path)
    chosen = reviewed(replace(data.selection, threshold=rule), decisions)
    text = write_owner_page(tmp_path, replace(data, selection=chosen)).read_text()
    assert f"{sum(chosen.kept)} of 60 samples are kept" in text
    assert ("60 samples were decided by you" in text) == (len(decisions) == 60)
