"""Results of gold and answer beside each other: the rows that are shown, and the one that is marked."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import evaluate
from harness.cli import main
from harness.render.evidence import render_evidence
from harness.render.terminal import SafeConsole
from harness.result_tables import CHARACTERS, cell
from harness.results import EvidenceWithResults, Results, results
from leaderboards import store
from leaderboards.evidence import Evidence
from leaderboards.types import Record, Run

Capture = pytest.CaptureFixture[str]
GOLD = "SELECT id, name FROM item ORDER BY id"
PAIRS = {
    "same": (GOLD, GOLD),
    "late": (GOLD, "SELECT id, CASE id WHEN 60 THEN 'other' ELSE name END FROM item ORDER BY id"),
    "order": (GOLD, "SELECT id, name FROM item ORDER BY id DESC"),
    "fewer": (GOLD, "SELECT id, name FROM item WHERE id < 5"),
    "failed": (GOLD, "SELECT nam FROM item"),
    "none": (GOLD, ""),
    "wide": (GOLD, f"SELECT {', '.join(['id'] * 30)}, name FROM item"),
    "slow": (
        "SELECT 1",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n",
    ),
    "text": ("SELECT 1, NULL, 'NULL'", "SELECT '1', 'NULL', NULL"),
    "second": ("SELECT COUNT(*) FROM item WHERE price > 5", "SELECT 1"),
    "evil": ("SELECT 1", "SELECT '[bold]x[/]' || char(27) || '[2J' || printf('%.*c', 300, 'y')"),
}
"""Id -> gold and answer. ``second`` is right on the first instance only."""
TASK = """
name: shop
dataset: {path: "dev.jsonl", splits: {dev: dev}, fields: {id: id, gold: query, database: db_id}}
databases: {path: "{database}.sqlite", instances: "{database}_2.sqlite"}
scoring: {instances: 2, steps: 200000}
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a task, and its HARNESS_HOME with one run of it."""
    here = tmp_path_factory.mktemp("results")
    for name, price in (("shop", 6), ("shop_2", 1)):
        with closing(sqlite3.connect(here / f"{name}.sqlite")) as connection:
            connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL)")
            rows = [(i, f"n{i}", price if i == 1 else 0) for i in range(1, 81)]
            connection.executemany("INSERT INTO item VALUES (?, ?, ?)", rows)
            connection.commit()
    rows_of_task = [
        {"id": id, "question": id, "query": gold, "db_id": "shop"} for id, (gold, _) in PAIRS.items()
    ]
    (here / "dev.jsonl").write_text("\n".join(map(json.dumps, rows_of_task)))
    (here / "shop.yaml").write_text(TASK)
    answers = [{"id": id, "sql": sql} for id, (_, sql) in PAIRS.items()]
    (here / "answers.jsonl").write_text("\n".join(map(json.dumps, answers)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(here / "home"))
        evaluate(f"replay:{here}/answers.jsonl", here / "shop.yaml")
    return here


@pytest.fixture(autouse=True)
def here(judged: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(judged / "home"))
    return judged


def stored() -> tuple[Run, dict[str, Record]]:
    (run,) = store.runs()
    return run, {record.sample_id: record for record in store.records(run.id)}


@pytest.fixture(scope="module")
def shown(judged: Path) -> dict[str, Results]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(judged / "home"))
        run, records = stored()
        return dict(zip(records, results(run, list(records.values()), workers=1), strict=True))


def test_the_verdicts_are_those_of_the_run(shown: dict[str, Results]) -> None:
    assert {id: made.reason for id, made in shown.items()} == {
        id: record.reason for id, record in stored()[1].items()
    }
    assert shown["slow"].reason == "timeout" and shown["same"].reason == "correct"


def test_the_task_reward_is_among_the_presets(shown: dict[str, Results]) -> None:
    records = stored()[1]
    assert {id: made.rewards["gated"] for id, made in shown.items()} == {
        id: record.reward for id, record in records.items()
    }
    assert set(shown["same"].rewards) == {"gated", "classic", "binary", "r_ves"}


@pytest.mark.parametrize(
    ("id", "gold", "answer"),
    [
        ("same", None, None),
        ("late", 59, 59),
        ("order", 0, 0),
        ("fewer", 4, None),
        ("failed", None, None),
        ("wide", 0, 0),
        ("second", 0, 0),
    ],
)
def test_the_first_row_that_differs_is_found(
    id: str, gold: int | None, answer: int | None, shown: dict[str, Results]
) -> None:
    made = shown[id]
    assert (made.gold.differs, made.answer.differs) == (gold, answer)


def test_a_late_difference_is_among_the_rows_that_are_shown(shown: dict[str, Results]) -> None:
    gold, answer = shown["late"].gold, shown["late"].answer
    assert (gold.total_rows, gold.start, len(gold.rows), gold.truncated) == (80, 49, 20, True)
    assert gold.rows[59 - gold.start] == ("60", "n60")
    assert answer.rows[59 - answer.start] == ("60", "other")


def test_the_instance_that_decides_is_shown(shown: dict[str, Results]) -> None:
    made = shown["second"]
    assert (made.instance, made.gold.rows, made.answer.rows) == (1, (("0",),), (("1",),))
    assert shown["same"].instance == 0


def test_few_columns_and_short_cells_are_shown(shown: dict[str, Results]) -> None:
    wide = shown["wide"].answer
    assert (len(wide.columns), wide.total_columns, wide.truncated) == (20, 31, True)
    assert all(len(row) == 20 for row in wide.rows)
    ((text,),) = shown["evil"].answer.rows
    assert text is not None and len(text) == CHARACTERS and text.endswith("…")


def test_a_failing_query_has_its_error_and_the_gold_its_rows(shown: dict[str, Results]) -> None:
    for id, start in (("failed", "execution_error: no such column"), ("none", "no_sql"), ("slow", "timeout")):
        made = shown[id]
        assert made.answer.error.startswith(start) and not made.gold.error and made.gold.rows


def test_null_text_and_number_are_shown_differently(shown: dict[str, Results]) -> None:
    made = shown["text"]
    assert (made.gold.rows, made.answer.rows) == ((("1", None, "'NULL'"),), (("'1'", "'NULL'", None),))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        ("", "''"),
        (" a", "' a'"),
        ("1e5", "'1e5'"),
        ("2021-01-01", "2021-01-01"),
        ("O'Neil", "O'Neil"),
        (1.5, "1.5"),
        (b"\x00\xff", "x'00ff'"),
        (("decimal", "1.5"), "1.5"),
        (("list", 1, "a"), "[1, 'a']"),
        ("\ud800", "?"),
        ("x" * 1_000_000, "x" * 99 + "…"),
    ],
)
def test_cells_are_texts(value: Any, text: str | None) -> None:
    assert cell(value) == text


@pytest.mark.parametrize("width", ["80", "40", "200"])
def test_show_prints_the_tables_within_the_terminal(
    width: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    for id in PAIRS:
        assert main(["show", "answers", id]) == 0
        printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        assert max(len(line) for line in printed.split("\n")) <= int(width), id
        assert "reward by preset" in printed and "\x1b" not in printed
    assert "[bold]x[/]" in printed


def test_show_says_if_an_answer_is_judged_otherwise_now(capsys: Capture, here: Path) -> None:
    assert main(["show", "answers", "late"]) == 0
    assert "judged now" not in capsys.readouterr().out
    run, records = stored()
    wrong = replace(records["late"], reason="correct")
    shown = EvidenceWithResults(Evidence(run, [wrong]), results(run, [wrong], workers=1))
    SafeConsole().print(render_evidence(shown))
    assert "judged now: wrong_rows" in capsys.readouterr().out


def test_show_prints_json(capsys: Capture) -> None:
    assert main(["show", "answers", "late", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    (made,), (record,) = printed["results"], printed["records"]
    assert record["sample_id"] == "late"
    assert (made["gold"]["differs"], made["answer"]["rows"][10]) == (59, ["60", "other"])


def _remove(here: Path) -> None:
    (here / "shop.sqlite").unlink()


def _change(here: Path) -> None:
    with closing(sqlite3.connect(here / "shop_2.sqlite")) as connection:
        connection.execute("DELETE FROM item WHERE id = 7")
        connection.commit()


def _remove_rows(here: Path) -> None:
    (here / "dev.jsonl").unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_remove, "shop.sqlite: No such file"),
        (_change, "the database shop has changed since run"),
        (_remove_rows, ""),
    ],
)
def test_a_missing_or_changed_database_is_named(
    change: Callable[[Path], None], reason: str, here: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(here, copy, ignore=shutil.ignore_patterns("home"))
    run, records = stored()
    task = json.loads(json.dumps(run.spec).replace(str(here), str(copy)))
    change(copy)
    (made,) = results(replace(run, spec=task), [records["late"]], workers=1)
    assert reason in made.unavailable and bool(made.unavailable) == bool(reason)
    assert bool(made.gold.rows) == (not reason)


PYTHON = {"name": "x", "dataset": {"source": "python", "path": "os:listdir", "splits": {"dev": "/"}}}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({}, "did not store its task"),
        ({"task": PYTHON | {"more": 1}}, "unknown key 'more'"),
        ({"task": PYTHON}, "os:listdir"),
    ],
)
def test_a_task_that_cannot_be_used_is_named(spec: dict[str, Any], reason: str) -> None:
    run, records = stored()
    (made,) = results(replace(run, spec=spec), [records["late"]], workers=1)
    assert reason in made.unavailable and made.as_dict() == {"unavailable": made.unavailable}
