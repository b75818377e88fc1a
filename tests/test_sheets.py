"""``--csv`` and ``--markdown``: both forms read back by other programs give what was written."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from test_leaderboards_store import RUN, record
from test_terminal import HOSTILE_TEXTS

from harness.cli import main
from harness.render.sheets import Column, Sheet, as_csv, as_markdown, cell
from leaderboards import store
from leaderboards.summary import summary
from tasks.common.terminal import one_line, visible

Capture = pytest.CaptureFixture[str]
NAMES = [
    *HOSTILE_TEXTS,
    "a|b",
    "a\\|b\\",
    "two\nlines\r\nand three",
    "**bold** _em_ __x__ ~~y~~",
    "snake_case_name",
    "`code` ``more``",
    "<script>alert(1)</script>",
    "<!-- hidden -->",
    "&lt;b&gt;",
    "[x](javascript:alert(1)) ![i](http://x/y)",
    "http://example.com www.example.com",
    "@someone #12 :rocket:",
    "| --- |",
    "-",
    "=1+1",
    "\n=1+1",
    "\uff1d1+1",
    '=HYPERLINK("http://x")',
    "+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    '"quoted", with, commas',
    "Qwen/Qwen3-0.6B",
    "openai:gpt",
    "日本語",
]


class Cells(HTMLParser):
    """The texts of a table's cells, row by row, and all tags but those of tables and of code."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self._inside = False

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self._inside = True
        else:
            self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.rows[-1][-1] += data


def cells(markdown: str) -> Cells:
    """A Markdown table as a reader of GitHub's tables, with HTML and links, shows it."""
    parsed = Cells()
    parsed.feed(MarkdownIt("commonmark", {"linkify": False}).enable("table").render(markdown))
    return parsed


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_markdown_is_shown_as_it_is(name: str) -> None:
    sheet = Sheet(
        [Column("x", str, "x"), Column("y", lambda _: 1, "y", str)],
        [name, name],
        title=[name],
        notes=[[name]],
    )
    parsed = cells(as_markdown([sheet]))
    assert parsed.rows == [
        ["x", "y"],
        *[[one_line(name), "1"]] * 2,
    ]
    assert parsed.tags <= {"table", "thead", "tbody", "p", "strong", "code"}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_github_would_link_or_mention_is_code(name: str) -> None:
    written = cell(name)
    special = re.search(r"@\w|#\d|://|www\.|:\w+:", one_line(name)) is not None
    assert not special or re.fullmatch(r"<code>[^<]*</code>", written)
    assert html.unescape(re.sub(r"</?code>", "", written)) == one_line(name)


@pytest.mark.parametrize(
    "name", ["nano", "Qwen/Qwen3-0.6B", "openai:gpt", "a_b", "12.5 (10.1-14.2)", "< 0.0001"]
)
def test_usual_names_are_not_code(name: str) -> None:
    assert cell(name) == name


@pytest.mark.parametrize("name", NAMES)
def test_a_name_in_csv_reads_back_and_is_no_formula(name: str) -> None:
    text = as_csv([Sheet([Column("x", str), Column("n", lambda _: -1.5)], [name])])
    ((read, number),) = list(csv.reader(io.StringIO(text)))[1:]
    assert number == "-1.5"
    assert read.removeprefix("'") == visible(name).removeprefix("'") and read[:1] not in tuple(
        "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
    )


def test_sheets_with_other_columns_are_one_csv() -> None:
    first = Sheet([Column("a", lambda row: row), Column("b", lambda row: None)], [1])
    second = Sheet([Column("", lambda row: row, "only here"), Column("c", lambda row: row)], [2])
    assert as_csv([first, second]) == "a,b,c\n1,,\n,,2\n"
    assert "only here" in as_markdown([first, second])


@pytest.fixture
def _runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Three comparable runs; the first has a hostile name, the second a part that the others lack."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    for number, model in enumerate(("a|b\n=c", "two", "three")):
        with store.open_run(replace(RUN, id=f"run-{number}", model=model, digest=str(number))) as handle:
            for i in range(40):
                part = "unseen" if i % 2 and number else "seen"
                handle.append(
                    [
                        record(
                            f"q{i}",
                            metric=float(i < 10 * number),
                            part=part,
                            difficulty=["easy", "hard"][i % 2],
                        )
                    ]
                )
            handle.finish(summary(list(handle.done.values())))
    yield


def printed(capsys: Capture, *words: str) -> str:
    assert main(words) == 0
    return capsys.readouterr().out


@pytest.mark.usefixtures("_runs")
def test_the_board_in_every_form_has_the_same_figures(capsys: Capture) -> None:
    rows = json.loads(printed(capsys, "board", "--json"))["groups"][0]["rows"]
    read = list(csv.DictReader(io.StringIO(printed(capsys, "board", "--csv"))))
    assert [(row["run"], float(row["ex"]), float(row["low"])) for row in read] == [
        (row["run"], row["ex"], row["low"]) for row in rows
    ]
    assert [row["part:unseen"] for row in read] == ["0.5", "0.25", ""]
    assert read[-1]["model"] == "a|b\n=c"
    table = cells(printed(capsys, "board", "--markdown")).rows
    assert [row[table[0].index("EX (%)")] for row in table[1:]] == ["50.0", "25.0", "0.0"]
    assert table[-1][0] == "a|b =c" and {len(row) for row in table} == {len(table[0])}


@pytest.mark.usefixtures("_runs")
def test_markdown_says_how_a_run_was_asked_where_some_run_was_asked_otherwise(capsys: Capture) -> None:
    assert "asked" not in cells(printed(capsys, "board", "--markdown")).rows[0]
    run = replace(RUN, id="run-3", model="two", digest="3", limit=40, sampling={"turns": 2})
    with store.open_run(run) as handle:
        handle.append([record("q0", metric=1.0)])
        handle.finish(summary(list(handle.done.values())))
    head, *rows = cells(printed(capsys, "board", "--markdown")).rows
    assert [row[head.index("asked")] for row in rows] == ["2 turns, 40 asked", "", "", ""]


@pytest.mark.usefixtures("_runs")
@pytest.mark.parametrize("names", [["run-0", "run-2"], ["run-0", "run-1", "run-2"]])
def test_a_comparison_in_every_form_has_the_same_figures(names: list[str], capsys: Capture) -> None:
    found = json.loads(printed(capsys, "compare", *names, "--json"))
    pairs = found.get("pairs", [found])
    read = list(csv.DictReader(io.StringIO(printed(capsys, "compare", *names, "--csv"))))
    whole = [row for row in read if not row["field"]]
    assert [(float(row["difference"]), float(row["p"]), int(row["wins"])) for row in whole] == [
        (pair["difference"], pair["p"], pair["wins"]) for pair in pairs
    ]
    assert (len(read) > len(whole)) == (len(names) == 2), "two runs are compared by slice, too"
    text = printed(capsys, "compare", *names, "--markdown")
    table = cells(text).rows
    assert len(table) == 1 + len(read) and {len(row) for row in table} == {len(table[0])}
    assert table[1][table[0].index("difference")] == f"{100 * pairs[0]['difference']:+.1f}"
    assert all(name in text for name in names)


@pytest.mark.usefixtures("_runs")
def test_the_list_of_runs_in_every_form_has_the_same_rows(capsys: Capture) -> None:
    assert printed(capsys, "runs", "tag", "run-1", "x") == "run-1: x\n"
    read = list(csv.DictReader(io.StringIO(printed(capsys, "runs", "--csv"))))
    rows = json.loads(printed(capsys, "runs", "--json"))["runs"]
    assert [(row["run"], row["state"], int(row["bytes"]), row["tags"].split()) for row in read] == [
        (row["id"], row["state"], row["bytes"], row["tags"]) for row in rows
    ]
    assert [row[0] for row in cells(printed(capsys, "runs", "--markdown")).rows] == [
        "run",
        "run-0",
        "run-1",
        "run-2",
    ]


@pytest.mark.parametrize("verb", [["board"], ["runs"], ["compare", "a", "b"]])
def test_one_form_at_a_time(verb: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*verb, "--csv", "--json"])
    assert "not allowed with argument" in capsys.readouterr().err
