"""Pictures of the pages: `python benchmarks/screenshots.py RUN OWNER OUT` needs playwright, Pillow and Chromium.

Of the coordinator's page of a run, and of the owner's page, with a sample opened too, and the review page of a folder:
on a desktop and a phone, light and dark. docs/owner.png and docs/review.png are two of them.
"""

from __future__ import annotations

import argparse
import io
import itertools
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

DEVICES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}
SCHEMES = ("light", "dark")
COLOURS = 192  # a picture is a third as large as with all


@contextmanager
def reviewing(folder: Path) -> Iterator[str]:
    """The link of a review, which works once."""
    command = [sys.executable, "-m", "clues", "review", str(folder)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        yield next(found[0] for line in server.stderr if (found := re.search(r"http://\S+", line)))
    finally:
        server.terminate()
        server.wait()


def shoot(browser: Any, link: str, out: Path, *, opened: str | None = None) -> None:
    """One page in every size and scheme: OUT-phone-dark.png. `opened`: what is clicked first, a selector."""
    page = browser.new_page()  # one for all, as the link of a review works once
    page.goto(link)
    for (device, size), scheme in itertools.product(DEVICES.items(), SCHEMES):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size(size)
        page.wait_for_timeout(1000)
        if opened and page.locator("dialog[open]").count() == 0:
            page.locator(opened).first.click()
            page.wait_for_timeout(500)
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        print(f"{out.name}, {device}, {scheme}{': wider than the screen' if wide else ''}")
        taken = Image.open(io.BytesIO(page.screenshot(full_page=opened is None)))
        taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(f"{out}-{device}-{scheme}.png")
    page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="a folder of clues run or demo")
    parser.add_argument("owner", type=Path, help="a folder of clues select, or RUN/clients/NAME")
    parser.add_argument("out", type=Path)
    parser.add_argument("--chromium", default="/usr/bin/chromium")
    arguments = parser.parse_args()
    from playwright.sync_api import sync_playwright

    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, reviewing(arguments.owner) as link:
        browser = playwright.chromium.launch(executable_path=arguments.chromium, args=["--no-sandbox"])
        shoot(browser, (arguments.run / "report.html").absolute().as_uri(), arguments.out / "run")
        owner = (arguments.owner / "report.html").absolute().as_uri()
        shoot(browser, owner, arguments.out / "owner")
        shoot(browser, owner, arguments.out / "sample", opened="#row-2")
        shoot(browser, link, arguments.out / "review")
        browser.close()


if __name__ == "__main__":
    main()
