"""The leaderboard's page in a browser: every view, by mouse and by keyboard, accessible, and inert."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import page_runs
import pytest
from browser import browser as browser
from browser import press, serving, violations, visit

from harness.page.collect import Collector
from harness.page.write import write_page
from leaderboards import store
from leaderboards.compare import compare
from leaderboards.matrix import compare_all
from tasks.common.terminal import visible

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A HARNESS_HOME with a lineage, and its page."""
    home = tmp_path_factory.mktemp("page")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(home))
        page_runs.lineage()
        write_page(Collector().page(), home / "board.html")
        yield home


@pytest.fixture(scope="module")
def address(homes: Path) -> str:
    return (homes / "board.html").as_uri()


BASE, SFT, GRPO = "eval-models-base", "eval-models-sft", "eval-models-grpo"
VIEWS = {
    "board": "#/",
    "run": f"#/run/{GRPO}",
    "compare": f"#/compare/{BASE}/{SFT}/{GRPO}",
    "question": f"#/question/{GRPO}/q-007",
    "search": "#/search?text=larger",
}


def shown(page: Page) -> str:
    """The text of the view that is shown."""
    page.wait_for_selector("html.js main:not([aria-busy])")
    return page.locator("main").inner_text()


def choice(page: Page, name: str) -> Locator:
    return page.get_by_role("combobox", name=name, exact=True)


def models(page: Page) -> list[str]:
    rows = page.locator("table.board tbody tr:visible th a").all_inner_texts()
    return [row for row in rows if row.startswith("models/")]


def test_the_first_screen_says_whether_each_stage_helped(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        gain = compare(SFT, GRPO)
        sentence = page.get_by_text(re.compile("GRPO helped: ")).first
        assert f"{100 * (gain.all.difference or 0):+.1f} points" in sentence.inner_text()
        assert sentence.bounding_box()["y"] < 900  # type: ignore[index]


def test_the_board_is_sorted_and_filtered(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        assert models(page) == ["models/grpo", "models/sft", "models/base"]
        table = page.locator("table.board", has_text="models/grpo")
        table.get_by_role("button", name="EX %").click()
        assert models(page) == ["models/base", "models/sft", "models/grpo"]
        assert table.locator("th[aria-sort=ascending]").inner_text().startswith("EX %")
        table.get_by_role("button", name="Model").click()
        assert models(page) == ["models/base", "models/grpo", "models/sft"]
        choice(page, "method").select_option("sft")
        assert models(page) == ["models/sft"]
        choice(page, "method").select_option("")
        choice(page, "task").select_option("other")
        assert models(page) == [] and "other:sampled" in shown(page)


def test_a_run_is_opened_and_its_questions_are_found(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.locator("table.board").get_by_role("link", name="models/grpo").click()
        page.wait_for_selector(".charts svg")
        assert page.locator(".charts:visible figure").count() >= 6
        assert "in training: the reward fell" in shown(page)
        choice(page, "reason").select_option("wrong_rows")
        wrong = sum(record.reason == "wrong_rows" for record in store.records(GRPO))
        page.get_by_text(f"{wrong} answers of 60").wait_for()
        page.get_by_role("searchbox", name="find").fill("larger than 7?")
        page.get_by_role("searchbox", name="find").press("Enter")
        page.get_by_text(re.compile("[01] answers? of 60")).wait_for()
        assert "reason=wrong_rows" in page.url and "text=larger" in page.url


def test_two_runs_are_compared_and_a_flipped_question_is_opened(browser: Browser, address: str) -> None:
    expected = compare(SFT, GRPO)
    with visit(browser, address) as page:
        page.get_by_label("Compare models/grpo").check()
        page.get_by_label("Compare models/sft").check()
        page.locator("button.compare:enabled").click()
        page.get_by_text("Questions that flipped").first.wait_for()
        text = shown(page)
        assert page.url.endswith(f"#/compare/{SFT}/{GRPO}")
        assert f"{expected.all.wins} won, {expected.all.losses} lost" in text
        assert f"{expected.all.wins + expected.all.losses} questions" in text
        won = next(pair.sample_id for pair in expected.pairs if pair.b > pair.a)
        choice(page, "flip").select_option("won")
        page.locator(".flips tbody tr", has_text=won).get_by_role("link").click()
        page.get_by_text("Prompt as sent").wait_for()
        assert page.url.endswith(f"#/question/{GRPO}/{won}")
        answers = page.locator(".answer")
        assert answers.count() == 3
        assert answers.nth(0).locator("mark").count() == 0  # the right answer is the gold
        assert answers.nth(1).locator("mark").all_inner_texts() != []


def test_the_matrix_has_the_figures_and_corrections_of_the_command(browser: Browser, address: str) -> None:
    expected = compare_all([BASE, SFT, GRPO])
    with visit(browser, f"{address}#/compare/{BASE}/{SFT}/{GRPO}") as page:
        page.get_by_text("Every two runs").first.wait_for()
        cells = page.locator(".matrix td").all_inner_texts()
        assert "would be found with" not in shown(page)  # that holds for one test alone
        assert "A: models/base, B: models/sft, in % of the questions" in shown(page)
        for cell in expected.cells:
            figures = cell.test.figures
            p = "p < 0.0001" if figures.corrected < 0.0001 else f"p = {figures.corrected:.2g}"
            assert any(p in text for text in cells), (p, cells)


def test_a_deep_link_shows_a_question_with_all_samples(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}#/question/eval-other-sampled/q-003") as page:
        page.get_by_text("Answer 4").wait_for()
        page.reload()
        page.get_by_text("Answer 4").wait_for()
        page.get_by_role("link", name="next").click()
        page.get_by_text("q-004").first.wait_for()
        page.go_back()
        page.get_by_text("q-003").first.wait_for()


def test_text_is_searched_in_questions_sql_and_messages(browser: Browser, address: str) -> None:
    for words, found in (
        ("LARGER than 12?", "7 answers"),
        ("'Rome' sft", "answers"),
        ("nowhere", "0 answers"),
    ):
        with visit(browser, address) as page:
            page.get_by_role("searchbox").first.fill(words)
            page.get_by_role("searchbox").first.press("Enter")
            page.locator("#view-search .note", has_text=found).wait_for()


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_no_view_violates_wcag(browser: Browser, address: str, scheme: str) -> None:
    for view in VIEWS.values():
        with visit(browser, address + view, color_scheme=scheme) as page:
            shown(page)
            assert violations(page) == [], view


def test_a_phone_scrolls_only_down(browser: Browser, address: str) -> None:
    for view in VIEWS.values():
        with visit(browser, address + view, size="phone") as page:
            shown(page)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, view


def test_the_keyboard_reaches_everything(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        shown(page)
        press(page, "Tab", until="Skip to content")
        page.keyboard.press("Enter")
        press(page, "Tab", until="EX %")
        page.keyboard.press("Enter")
        assert page.locator("th[aria-sort=ascending]").count() == 1
        press(page, "Tab", until="models/base", twice=True)
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("#/run/"))
        press(page, "Tab", until=re.compile("Which cities"))
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("#/question/"))
        page.get_by_text("Prompt as sent").wait_for()
        press(page, "Tab", until="Board", start="body")
        page.keyboard.press("Enter")
        page.locator("table.board").first.wait_for()


def test_the_theme_is_changed_by_its_button(browser: Browser, address: str) -> None:
    with visit(browser, address, color_scheme="light") as page:
        colour = "getComputedStyle(document.documentElement).backgroundColor"
        before = page.evaluate(colour)
        page.get_by_role("button", name="Dark colours").click()
        assert page.evaluate(colour) != before
        page.get_by_role("button", name="Light colours").click()
        assert page.evaluate(colour) == before


def test_the_page_can_be_read_without_scripts(browser: Browser, address: str) -> None:
    with visit(browser, address, java_script_enabled=False) as page:
        text = page.locator("main").inner_text()
        assert "GRPO helped" in text and "EX by difficulty" in text and "in training: the reward fell" in text
        page.locator("table.board").get_by_role("link", name="models/grpo").click()
        assert page.url.endswith(f"#/run/{GRPO}")


@contextmanager
def page_of(home: Path, served: bool) -> Iterator[str]:
    """The address of the page of HARNESS_HOME: of a file, or of a server."""
    if served:
        with serving() as port:
            yield f"http://127.0.0.1:{port}/"
    else:
        write_page(Collector().page(), home / "board.html")
        yield (home / "board.html").as_uri()


@pytest.mark.parametrize("served", [False, True])
def test_hostile_texts_are_inert_in_every_view(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: bool
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    run = page_runs.hostile()
    name = quote(run, safe="")
    ids = [visible(record.sample_id) for record in store.records(run)]
    assert len(ids) == len(page_runs.HOSTILE)
    questions = [f"#/question/{name}/{quote(sample, safe='')}" for sample in ids]
    views = ["#/", f"#/run/{name}", "#/search?text=a", "#/search?text=<script>", f"#/compare/{name}/{name}"]
    none = ["#/run/<img src=x onerror=alert(1)>", "#/%", "#/question", "#/__proto__", "#/run/__proto__"]
    with page_of(tmp_path, served) as where, visit(browser, where) as page:
        for view in [*views, *questions, *none]:
            page.evaluate("view => { location.hash = view }", view)
            page.wait_for_timeout(30)
            assert "cannot be drawn" not in shown(page), view
            if view in questions:
                assert page.locator("#view-question .answer").count() == 1, view
            made = "iframe, img, object, embed, main script, [onerror], [onload], a[href^='javascript' i]"
            assert page.locator(made).count() == 0, view
        assert page.evaluate("document.querySelectorAll('style').length") == 1
