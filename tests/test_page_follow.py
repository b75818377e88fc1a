"""The served page in a browser: it follows the runs, takes nothing from the reader, mixes no two pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import page_runs
import pytest
from browser import browser as browser
from browser import serving, visit
from page_runs import home as home

from leaderboards import store
from leaderboards.types import Run

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Route

QUESTION = "#/question/eval-models-grpo/q-00{}"


@pytest.fixture
def address(home: Path) -> Iterator[str]:
    with serving() as port:
        yield f"http://127.0.0.1:{port}/"


def newer() -> None:
    """A run more."""
    page_runs.evaluation("newer", [page_runs.realistic(0, 1)])


def test_a_run_is_followed_while_it_goes_on(browser: Browser, address: str) -> None:
    started = Run("going-on", "train", "m", "pocket", "d", "train", "strict", "1", "digest")
    with store.open_run(started) as writer:
        writer.append_curve(page_runs.curve(3))
        with visit(browser, f"{address}#/run/going-on") as page:
            page.get_by_text("3 steps so far").wait_for()
            writer.append_curve(page_runs.curve(8))
            page.get_by_text("8 steps so far").wait_for()
            page.locator("figure.chart svg:visible").first.wait_for()
        writer.finish({})


def test_what_the_reader_has_touched_is_not_taken_away(browser: Browser, address: str) -> None:
    page_runs.lineage(5)
    with visit(browser, address) as page:
        page.get_by_label("Compare models/grpo").check()
        newer()
        page.get_by_text("The runs have changed.").wait_for()
        assert page.get_by_label("Compare models/grpo").is_checked()
        page.get_by_role("button", name="Reload").click()
        page.locator("table.board th", has_text="newer").wait_for()


def test_a_page_of_runs_that_have_changed_since_is_loaded_again(browser: Browser, address: str) -> None:
    page_runs.lineage(5)
    with visit(browser, address + QUESTION.format(1), expected="409") as page:
        page.get_by_text("Prompt as sent").wait_for()
        newer()
        with visit(browser, address):  # for which the server makes the page again
            pass
        page.evaluate("hash => { window.before = true; location.hash = hash }", QUESTION.format(2))
        page.get_by_role("heading", name="larger than 2?").wait_for()
        assert page.evaluate("window.before") is None
        assert page.locator("table.board th", has_text="newer").count() == 1


def test_a_slow_view_does_not_replace_a_later_one(browser: Browser, address: str) -> None:
    page_runs.lineage(5)
    held: list[Route] = []
    with visit(browser, address) as page:
        page.wait_for_selector("html.js main:not([aria-busy])")
        page.route("**/tables-*/q-001", lambda route: held.append(route))
        with page.expect_request("**/tables-*/q-001"):
            page.evaluate("hash => { location.hash = hash }", QUESTION.format(1))
        page.evaluate("hash => { location.hash = hash }", QUESTION.format(2))
        heading = page.locator("#view-question h1")
        page.get_by_role("heading", name="larger than 2?").wait_for()
        with page.expect_response("**/tables-*/q-001") as answer:
            held[0].continue_()
        assert answer.value.ok
        page.wait_for_timeout(300)
        assert "larger than 2?" in heading.inner_text()


def test_data_that_did_not_arrive_are_asked_for_again(browser: Browser, address: str) -> None:
    page_runs.lineage(5)
    with visit(browser, address, expected="Failed to (fetch|load resource)") as page:
        page.wait_for_selector("html.js main:not([aria-busy])")
        page.route("**/run-*", lambda route: route.abort())
        page.evaluate("hash => { location.hash = hash }", "#/run/eval-models-grpo")
        page.get_by_text("This view cannot be drawn").wait_for()
        page.unroute("**/run-*")
        page.evaluate("location.hash = '#/'")
        page.evaluate("hash => { location.hash = hash }", "#/run/eval-models-grpo")
        page.get_by_text(re.compile("5 answers of 5")).wait_for()
        assert not page.get_by_text("This view cannot be drawn").is_visible()


def test_result_tables_stand_side_by_side_with_the_first_differing_row(
    browser: Browser, home: Path, address: str
) -> None:
    page_runs.shop(home)
    with visit(browser, address) as page:
        page.locator("table.board").get_by_role("link", name=re.compile("wrong")).click()
        page.get_by_role("link", name="Which?").nth(1).click()
        answer = page.locator(".answer").first
        tables = answer.locator(".results table")
        tables.first.wait_for()
        assert tables.nth(0).locator("tbody tr").count() == 2
        assert tables.nth(1).locator("tbody tr").count() == 1
        boxes = [tables.nth(place).bounding_box() for place in (0, 1)]
        assert boxes[0] and boxes[1] and boxes[0]["x"] + boxes[0]["width"] <= boxes[1]["x"]
        (marked,) = answer.locator("tr.differs").all_inner_texts()
        assert "first differing row" in marked and "\ufffdb" in marked
        assert re.search("gated .*binary 0.00", answer.get_by_text("Reward under each preset").inner_text())
