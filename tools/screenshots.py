"""``HARNESS_HOME=.harness python -m tools.screenshots [FOLDER]``: pictures of the leaderboard's page.

Board, run, comparison and question, each light, dark and on a phone, of the stored runs. ``--readme`` writes
the two small pictures of the README into ``docs`` instead. They need Chromium and Playwright.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from harness.page.collect import Collector
from harness.page.tables import chosen
from harness.page.views import Group, Page
from harness.page.write import write_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

LOOKS = {"light": ("light", 1200, 900), "dark": ("dark", 1200, 900), "phone": ("light", 360, 740)}
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync")


def views(page: Page) -> dict[str, str]:
    """Name -> address of the views, with a question that the last stage of a lineage won."""
    group: Group = next(group for group in page.groups if group.lineages)
    stages = group.lineages[0]
    last = stages[-1]
    assert last.gain
    ids = [quote(stage.run.run.id, safe="") for stage in stages]
    held = set(chosen(group))
    won = next(pair.sample_id for pair in last.gain.pairs if pair.b > pair.a and pair.sample_id in held)
    return {
        "board": "#/",
        "run": f"#/run/{ids[-1]}",
        "compare": f"#/compare/{'/'.join(ids)}",
        "question": f"#/question/{ids[-1]}/{quote(won, safe='')}",
    }


def take(browser: Browser, address: str, file: Path, look: str, whole: bool = True) -> None:
    """Write the picture of one view."""
    scheme, width, height = LOOKS[look]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if scheme == "dark" else "light",
        device_scale_factor=2 if look == "phone" else 1,
    )
    page = context.new_page()
    page.goto(address)
    page.wait_for_selector("html.js main:not([aria-busy])")
    page.screenshot(path=str(file), full_page=whole)
    context.close()


def main(folder: Path, readme: bool) -> None:
    """Write the page beside the pictures, and the pictures."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    page = Collector().page()
    write_page(page, folder / "board.html")
    base = (folder / "board.html").resolve().as_uri()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        for name, address in views(page).items():
            if readme and name in ("board", "question"):
                take(browser, base + address, Path("docs") / f"page-{name}.png", "light", whole=False)
            for look in () if readme else LOOKS:
                take(browser, base + address, folder / f"{name}-{look}.png", look, whole=name != "run")
        browser.close()


if __name__ == "__main__":
    given = [argument for argument in sys.argv[1:] if argument != "--readme"]
    main(Path(given[0] if given else "build/screenshots"), "--readme" in sys.argv)
