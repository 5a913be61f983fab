"""How large the data owner's page is, and how quick: `python benchmarks/pages.py` needs playwright and Chromium.

Samples are made of words with the frequencies of a natural language, 70 of them in a response.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from clues.data.sample import Sample
from clues.data.samples import Private, PublicSamples
from clues.methods.default.columns import FEATURES
from clues.report.owner_page import OwnerData, write_owner_page
from clues.selection.threshold import Threshold
from clues.silo.selection import Selection
from clues.silo.tables import ScoreTable, write_table

# Sets a control of the page and waits until the rows are drawn; the milliseconds that it took.
ACT = """([id, act]) => new Promise((done) => {
  const start = performance.now(), node = document.querySelector(id);
  if (act === "click") node.click();
  else { node.value = act; node.dispatchEvent(new Event("input", { bubbles: true })); }
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""
ACTIONS = {
    "filter (s)": ("select[name=decision]", "0"),
    "search (s)": ("input[name=query]", "abe"),
    "sort by length (s)": ("[data-sort=length]", "click"),
    "sort by reason (s)": ("[data-sort=cause]", "click"),
}


def samples(count: int, rng: np.random.Generator) -> list[Sample]:
    letters, vocabulary = list("abcdefghijklmnopqrstuvwxyz"), 20_000
    words = np.array(["".join(rng.choice(letters, size)) for size in rng.integers(2, 10, vocabulary)])
    chances = 1 / np.arange(1, vocabulary + 1)
    drawn = words[rng.choice(vocabulary, (count, 80), p=chances / chances.sum())]
    return [
        Sample(f"sample-{n}", [{"role": "user", "content": " ".join(row[:10])}], " ".join(row[10:]), "x", {}, str(n))
        for n, row in enumerate(drawn.tolist())
    ]


def owner_data(folder: Path, count: int) -> OwnerData:
    rng, torch_rng = np.random.default_rng(0), torch.Generator().manual_seed(0)
    private, clean = samples(count, rng), samples(200, rng)
    for name, size in (("scores", count), ("anchors", 100)):
        names = ("score", *FEATURES, "loss")
        numbers = {column: torch.randn(size, generator=torch_rng, dtype=torch.float64) for column in names}
        write_table(folder / f"{name}.parquet", (f"{name}-{n}" for n in range(size)), numbers)
    selection = Selection(ScoreTable(folder / "scores.parquet"), Threshold("posterior", 0.0), "me")
    anchors, public = ScoreTable(folder / "anchors.parquet"), PublicSamples(clean[:100], clean[100:])
    return OwnerData(
        name=f"{count} samples", private=Private(private, []), public=public, selection=selection, anchors=anchors
    )


def measured(browser: Any, folder: Path, count: int) -> dict[str, float]:
    data = owner_data(folder, count)
    text = sum(len(s.response) + len(str(s.context[0]["content"])) for s in data.private.samples)
    start = time.perf_counter()
    path = write_owner_page(folder, data)
    result = {
        "texts (MB)": text / 1e6,
        "page (MB)": path.stat().st_size / 1e6,
        "write (s)": time.perf_counter() - start,
    }
    page, start = browser.new_page(viewport={"width": 1280, "height": 900}), time.perf_counter()
    page.goto(path.as_uri(), wait_until="commit")
    page.wait_for_selector("#body [role=row]")
    result["first row (s)"] = time.perf_counter() - start
    page.wait_for_selector("body[data-state=ready]", timeout=120_000)
    result["all texts (s)"] = time.perf_counter() - start
    for name, action in ACTIONS.items():
        result[name] = page.evaluate(ACT, action) / 1000
        if action[1] != "click":
            page.evaluate(ACT, (action[0], ""))
    page.close()
    return result


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[1_000, 100_000])
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser's executable")
    arguments = parser.parse_args()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=arguments.chromium)
        results = {count: measured(browser, Path(folder), count) for count in arguments.samples}
        browser.close()
    print("| samples | " + " | ".join(next(iter(results.values()))) + " |")
    print("|---:" * (1 + len(next(iter(results.values())))) + "|")
    for count, row in results.items():
        print(f"| {count:,} | " + " | ".join(f"{value:.2f}" for value in row.values()) + " |")


if __name__ == "__main__":
    main()
