"""Headless Chromium for tests: an error, a dialog or a request that leaves the page fails the test."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.page.collect import Collector
from harness.page.serve import server

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
AXE = Path(__file__).parent / "vendor" / "axe.min.js"
SIZES = {"desk": (1200, 900), "phone": (360, 740)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of a module, which are skipped where Chromium or Playwright is missing."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield started
        started.close()


@contextmanager
def serving() -> Iterator[int]:
    """The port of a server of the page."""
    with server(Collector(), 0) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        assert running.server_address[0] == "127.0.0.1"
        try:
            yield running.server_address[1]
        finally:
            running.shutdown()
            thread.join()


@contextmanager
def visit(
    browser: Browser, address: str, size: str = "desk", expected: str = "^$", **options: Any
) -> Iterator[Page]:
    """A page at an address; what must not happen on it is asserted at the end.

    ``expected``: pattern of the errors that a test provokes.
    """
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, **options)
    page = context.new_page()
    page.set_default_timeout(60_000)
    faults: list[str] = []
    origin = address.partition("#")[0]
    page.on("console", lambda m: faults.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("dialog", lambda dialog: (faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("popup", lambda other: faults.append(f"popup {other.url}"))
    page.on("request", lambda r: None if _own(r.url, origin) else faults.append(f"request {r.url}"))
    try:
        page.goto(address)
        yield page
    finally:
        context.close()
    faults = [fault for fault in faults if not re.search(expected, fault)]
    assert not faults, faults


def _own(url: str, origin: str) -> bool:
    return url.startswith("data:") or (url.startswith(origin) if origin.startswith("http") else url == origin)


def violations(page: Page) -> list[str]:
    """What axe-core finds at levels A and AA: the rule and the elements."""
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
    return [f"{one['id']}: {node['html'][:120]}" for one in found["violations"] for node in one["nodes"][:3]]


def press(page: Page, key: str, until: str | re.Pattern[str], twice: bool = False, start: str = "") -> None:
    """Press a key until an element with this text has the focus, which must be visible."""
    pattern = re.compile(re.escape(until)) if isinstance(until, str) else until
    if start:
        page.evaluate("document.activeElement.blur(); document.querySelector('.skip').focus()")
    for _ in range(120):
        page.keyboard.press(key)
        text, outline = page.evaluate(
            "() => { const e = document.activeElement;"
            " const style = getComputedStyle(e);"
            " const name = e.innerText || e.getAttribute('aria-label') || '';"
            " return [name, style.outlineStyle + style.outlineWidth] }"
        )
        if pattern.match(text.strip()):
            assert not outline.startswith("none") and "0px" not in outline, f"no outline on {text}"
            return
    raise AssertionError(f"{until} is not reached")
