"""``harness score``, by its console script: every form of stored answers, and what a user may get wrong."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

GOLDS = [
    "SELECT name FROM item WHERE price > 4",
    "SELECT COUNT(*) FROM item",
    "SELECT name FROM item ORDER BY id",
]
ANSWERS = ["SELECT name FROM item WHERE price > 3", "SELECT 3.0", "SELECT nam FROM item"]
"""Lucky, right, not running."""
TASK = """
name: shop
dataset: {path: "dev.jsonl", splits: {dev: dev}, fields: {gold: query, database: db_id}}
databases: {path: "{database}.sqlite"}
"""
OWN = """
from rewards.types import Score
class Half:
    def __call__(self, attempt):
        return Score(0.5, attempt.reason)
raises = 1 / {divisor}
"""


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a task of three questions and one SQL a line for them."""
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as connection:
        connection.executescript(
            "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);"
            "INSERT INTO item VALUES (1, 'pen', 2.0), (2, 'ink', 9.0), (3, 'cup', 5.0);"
        )
    rows = [{"question": "What?", "query": gold, "db_id": "shop"} for gold in GOLDS]
    (tmp_path / "dev.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "shop.yaml").write_text(TASK)
    (tmp_path / "answers.sql").write_text("\n".join(ANSWERS) + "\n")
    return tmp_path


def harness(here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("harness")), *arguments],
        cwd=here,
        env={**os.environ, "HARNESS_HOME": str(here / "home"), "COLUMNS": "140"},
        capture_output=True,
        text=True,
    )


def scored(here: Path, *arguments: str) -> dict[str, Any]:
    done = harness(here, "score", *arguments, "--task", "shop.yaml", "--json")
    assert done.returncode == 0, done.stderr
    (group,) = json.loads(done.stdout)["groups"]
    (row,) = group["rows"]
    return dict(row)


def test_every_form_is_scored_in_every_mode(here: Path) -> None:
    first = scored(here, "answers.sql", "--workers", "1")
    modes = ("strict", "spider", "spider_ts", "bird", "bird_f1")
    assert first["modes"] == pytest.approx(dict.fromkeys(modes, 2 / 3))
    assert first["reasons"] == {"correct": 2, "execution_error": 1}
    objects = [{"id": number, "completion": f"```sql\n{sql}\n```"} for number, sql in enumerate(ANSWERS)]
    (here / "answers.jsonl").write_text("\n".join(map(json.dumps, objects)))
    (here / "answers.json").write_text(json.dumps(dict(enumerate(ANSWERS))))
    run = here / "home" / "runs" / first["run"]
    for form in ("answers.jsonl", "answers.json", str(run), first["run"]):
        assert scored(here, form)["modes"] == first["modes"], form


def test_several_answers_a_question_are_all_scored(here: Path) -> None:
    objects = [{"id": n, "sql": sql} for n, gold in enumerate(GOLDS) for sql in (gold, ANSWERS[2])]
    (here / "two.jsonl").write_text("\n".join(map(json.dumps, objects)))
    row = scored(here, "two.jsonl")
    assert row["ex"] == 0.5 and row["completions"] == 6


def test_the_table_names_the_reasons(here: Path) -> None:
    done = harness(here, "score", "answers.sql", "--task", "shop.yaml")
    assert done.returncode == 0 and "execution_error" in done.stdout and "bird_f1" in done.stdout


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("none.sql", None, "none.sql: no such file"),
        ("short.sql", "SELECT 1\n", "has 1 lines"),
        ("bad.jsonl", "{", "bad.jsonl: cannot be read"),
        ("bare.jsonl", '{"text": "SELECT 1"}', 'expected an object with "id"'),
        ("list.json", "[]", "expected a mapping"),
        ("latin.sql", b"SELECT '\xe9'\n", "latin.sql: cannot be read"),
        ("folder", "", "no finished run"),
        ("fake/records.parquet", "x", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_scored_is_one_line(
    here: Path, file: str, content: str | bytes | None, says: str
) -> None:
    if content == "":
        (here / file).mkdir()
    elif content is not None:
        (here / file).parent.mkdir(exist_ok=True)
        (here / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    done = harness(here, "score", file.removesuffix("/records.parquet"), "--task", "shop.yaml")
    assert done.returncode == 2 and says in done.stderr
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_reward_of_ones_own_lies_in_the_folder_one_works_in(here: Path) -> None:
    (here / "mine.py").write_text(OWN.format(divisor=1))
    assert scored(here, "answers.sql", "--trust-task", "--set", "scoring.reward=mine:Half")["reward"] == 0.5
    line = ("score", "answers.sql", "--task", "shop.yaml", "--trust-task", "--set")
    for reward, says in {
        "mine:Third": "has no attribute 'Third'",
        "yours:Half": f"No module named 'yours' (looked in {here} too)",
        "mine:OWN": "has no attribute",
    }.items():
        done = harness(here, *line, f"scoring.reward={reward}")
        assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1
    (here / "mine.py").write_text(OWN.format(divisor=0))
    done = harness(here, *line, "scoring.reward=mine:Half")
    assert done.returncode == 2 and "ZeroDivisionError" in done.stderr
