"""The page's question view, its comparison and its search in a browser: what they show, and by keyboard."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import page_runs
import pytest
from browser import browser as browser
from browser import press, violations, visit

from harness.page.collect import Collector
from harness.page.write import write_page
from leaderboards.types import Record

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

EARLIER = [
    {"role": "assistant", "content": "SELECT nme FROM city"},
    {"role": "user", "content": "no such column: nme"},
]


def answers(right: Sequence[int], samples: int = 1) -> list[Record]:
    """Answers to 20 questions; ``right``: how many of each question's are right."""
    made = []
    for number, good in enumerate(right):
        for index in range(samples):
            verdict = float(index < good)
            reason = "correct" if verdict else ("wrong_rows", "execution_error")[number % 2]
            one = replace(page_runs.realistic(number, index), sample_index=index, reason=reason)
            made.append(replace(one, metric=verdict, strict=verdict))
    return made


def with_turns(record: Record) -> Record:
    return replace(record, prompt=json.dumps(json.loads(record.prompt) + EARLIER))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The page of a lineage, of three runs that hardly differ, and of two with several answers and turns."""
    home = tmp_path_factory.mktemp("question")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(home))
        page_runs.lineage(20)
        for name, right in (("a", 0), ("b", 6), ("c", 6)):
            shares = [int(number < right) for number in range(20)]
            page_runs.evaluation(f"near/{name}", answers(shares), task="near")
        own = {"task": "many", "spec": {"task": {"prompt": {"template": "mine.jinja"}}}}
        page_runs.evaluation("many/a", answers([1] * 20, 4), **own)
        turned = list(map(with_turns, answers([3] * 20, 4)))
        page_runs.evaluation("many/b", turned, **own)
        write_page(Collector().page(), home / "board.html")
        yield (home / "board.html").as_uri()


def test_a_question_shows_its_evidence_and_schema_beside_the_prompt(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}#/question/eval-models-grpo/q-007") as page:
        page.get_by_role("heading", name="Prompt as sent").wait_for()
        assert page.locator(".evidence p").inner_text() == page_runs.HINT
        assert page.locator("pre.schema").inner_text() == "city(name, size)"
        sent = page.locator(".prompt pre").inner_text()
        assert sent == f"city(name, size)\n\n{page_runs.HINT}\nWhich cities are larger than 7?"


def test_a_prompt_of_an_own_template_is_shown_whole(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}#/question/eval-many-b/q-007") as page:
        page.get_by_text("This prompt was made by no shipped template").wait_for()
        assert page.locator(".evidence").count() == 0
        assert "refers to" in page.locator(".prompt pre").inner_text()
        assert page.locator(".prompt .message").count() == 1  # the turns stand at the answers
        assert page.locator(".answer").first.get_by_text("Answer 4").count() == 1
        page.locator("summary", has_text="Earlier turns").first.click()
        assert page.get_by_text("no such column: nme").first.is_visible()


def test_a_query_of_a_thousand_levels_is_laid_out_and_names_of_objects_are_ids(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    deep = "SELECT (" * 2000
    one = replace(page_runs.realistic(0, 0), sample_id="constructor", sql=deep)
    page_runs.evaluation("deep", [one], id="toString")
    write_page(Collector().page(), tmp_path / "board.html", answers=0)
    with visit(browser, f"{(tmp_path / 'board.html').as_uri()}#/question/toString/constructor") as page:
        page.get_by_text("This file does not hold the result tables").wait_for()
        shown = page.locator(".one pre.sql").text_content() or ""
        assert "".join(shown.split()) == "".join(deep.split()) and len(shown) < 10 * len(deep)


def test_turns_hints_and_prompts_are_searched_and_filtered(browser: Browser, address: str) -> None:
    searches = {
        "column: nme": "80 answers",  # a turn of one of the runs
        "thousands larger 7": "14 answers",  # the hint; 7 and 17, of three runs and one of four answers
        "table_7_3(name": "0 answers",
        "table_7_3(name&prompts=1": "11 answers",
        "&reason=execution_error&database=db1": "answers",
    }
    for words, found in searches.items():
        with visit(browser, f"{address}#/search?text={words}") as page:
            pattern = re.compile(f"^{found}|[1-9][0-9]* {found}")
            page.locator("#view-search .note", has_text=pattern).wait_for()
    with visit(browser, f"{address}#/search?text=larger") as page:
        page.get_by_role("combobox", name="feature").select_option("order")
        page.get_by_role("combobox", name="reason").select_option("wrong_rows")
        page.get_by_role("checkbox", name="in prompts too").check()
        assert set(re.findall("(feature|reason|prompts)=", page.url)) == {"feature", "reason", "prompts"}
        reasons = page.locator("#view-search tbody .reason").all_inner_texts()
        assert reasons and set(reasons) == {"wrong_rows"}


def test_the_sentences_of_three_runs_have_corrected_p_values(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}#/compare/eval-near-a/eval-near-b") as page:
        page.get_by_text("near/b against near/a: better (p = 0.031)").wait_for()
    with visit(browser, f"{address}#/compare/eval-near-a/eval-near-b/eval-near-c") as page:
        page.get_by_text("Every two runs").first.wait_for()
        verdict = page.locator("#view-compare .verdict").first.inner_text()
        assert "no significant difference (p\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}0.094" in verdict


def test_flips_of_several_answers_say_how_many_are_right(browser: Browser, address: str) -> None:
    with visit(browser, f"{address}#/compare/eval-many-a/eval-many-b") as page:
        row = page.locator(".flips tbody tr").first
        row.wait_for()
        assert row.locator("td").all_inner_texts()[1:] == ["1 of 4 right", "3 of 4 right"]
        page.get_by_role("combobox", name="reason").focus()
        page.get_by_role("combobox", name="reason").select_option("execution_error")
        page.get_by_text("10 questions of 20 that flipped").wait_for()
        assert page.evaluate("document.activeElement.tagName") == "SELECT"  # the reader is not moved
        page.get_by_role("combobox", name="flip").select_option("lost")
        page.get_by_text("0 questions of 20 that flipped").wait_for()
        assert "flip=lost" in page.url


def follow(page: Page, address: str) -> None:
    """Follow the link that has the focus, until the view at that address is drawn and has the focus."""
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(address))
    page.locator("h1:focus").wait_for()


def test_the_keyboard_alone_leads_from_the_board_to_a_question(browser: Browser, address: str) -> None:
    with visit(browser, address) as page:
        page.wait_for_selector("html.js main:not([aria-busy])")
        press(page, "Tab", until="models/grpo")
        follow(page, "#/run/")
        press(page, "Tab", until="Board", start="body")
        page.keyboard.press("Enter")
        page.locator("table.board").first.wait_for()
        for model in ("models/grpo", "models/sft"):
            press(page, "Tab", until=f"Compare {model}", start="body")
            page.keyboard.press("Space")
        press(page, "Tab", until="Compare the selected runs")
        follow(page, "#/compare/")
        press(page, "Tab", until=re.compile("Which cities"))
        follow(page, "#/question/")
        page.locator("pre.schema").wait_for()
        press(page, "Tab", until="next")
        page.keyboard.press("Enter")
        page.locator("#view-question h1:focus").wait_for()


VIEWS = ("", "#/run/eval-many-b", "#/compare/eval-many-a/eval-many-b", "#/question/eval-models-grpo/q-007")


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_view_violates_wcag_on_a_phone(browser: Browser, address: str, scheme: str) -> None:
    for view in VIEWS:
        with visit(browser, address + view, "phone", color_scheme=scheme) as page:
            page.wait_for_selector("html.js main:not([aria-busy])")
            assert violations(page) == [], view
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, view


def test_print_has_headers_whole_tables_and_dark_text_on_white(browser: Browser, address: str) -> None:
    with visit(browser, address, color_scheme="dark") as page:
        page.wait_for_selector("html.js main:not([aria-busy])")
        page.get_by_role("button", name="Light colours").click()
        page.get_by_role("button", name="Dark colours").click()
        page.emulate_media(media="print")
        assert page.locator("table.board th").get_by_text("EX %").first.is_visible()
        colours = "[getComputedStyle(document.documentElement)].map(s => [s.backgroundColor, s.color])[0]"
        assert page.evaluate(colours) == ["rgb(255, 255, 255)", "rgb(27, 31, 36)"]
        assert not page.get_by_role("button", name="Compare the selected runs").first.is_visible()
        page.goto(f"{address}#/question/eval-many-b/q-007")
        page.locator("pre.sql").first.wait_for()
        boxes = "[...document.querySelectorAll('#view-question pre, #view-question .scroll')]"
        assert page.evaluate(f"{boxes}.length") > 3
        overflow = page.evaluate(f"{boxes}.map(e => getComputedStyle(e).overflowY)")
        assert set(overflow) == {"visible"}
