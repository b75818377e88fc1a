"""``scoring.instances``: missing instances are generated, and a schema without rows is filled."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from harness.provenance.identity import of_task
from rewards.grader import Grader
from rewards.types import Attempt, Reason
from tasks.common.errors import DataError
from tasks.common.parse import parse
from tasks.spec import TaskSpec
from tasks.task import Task
from tasks.types import Sample

SHOP = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price REAL);"
FILLED = SHOP + "INSERT INTO item VALUES (1, 'pen', 2.0), (2, 'ink', 9.0), (3, 'cup', 5.0);"
GOLD = "SELECT name FROM item WHERE price > 4 AND name != 'pen'"
LUCKY = "SELECT name FROM item WHERE price > 3"
"""Returns what the gold does from the rows of FILLED."""
MODES = ("strict", "spider", "spider_ts", "bird")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def task(folder: Path, instances: int, ddl: str = "", **databases: Any) -> Task:
    """A task of one question, on a file with FILLED or on a schema of its own."""
    row = {"id": "q", "question": "What costs more than 4?", "query": GOLD, "db_id": "shop", "ddl": ddl}
    (folder / "dev.jsonl").write_text(json.dumps(row) + "\n")
    if not (folder / "shop.sqlite").exists():
        with closing(sqlite3.connect(folder / "shop.sqlite")) as connection:
            connection.executescript(FILLED)
    data = {
        "name": "shop",
        "dataset": {
            "path": str(folder / "{split}.jsonl"),
            "splits": {"dev": "dev", "train": "no such file"},
            "fields": {"ddl": "ddl"} if ddl else {},
        },
        "databases": {"path": str(folder / "{database}.sqlite"), **databases},
        "scoring": {"instances": instances, "modes": list(MODES)},
    }
    return Task(parse(TaskSpec, data))


def judged(task: Task, text: str) -> Attempt:
    (sample,) = task.samples()
    with Grader(task.spec.scoring, workers=1) as grader:
        return grader.grade(task, [sample], [text])[0].attempt


@pytest.mark.parametrize("ddl", ["", FILLED])
def test_generated_instances_expose_a_lucky_query(ddl: str, tmp_path: Path) -> None:
    assert judged(task(tmp_path, 1, ddl), LUCKY).verdicts == dict.fromkeys(MODES, 1.0)
    several = task(tmp_path, 4, ddl)
    assert judged(several, GOLD).verdicts == dict.fromkeys(MODES, 1.0)
    found = judged(several, LUCKY)
    assert found.verdicts == {**dict.fromkeys(MODES, 1.0), "strict": 0.0}, "only strict asks for more"
    assert found.detail.startswith("instance ")


def test_instances_are_generated_once_and_kept(tmp_path: Path, home: Path) -> None:
    first = task(tmp_path, 3)
    (sample,) = first.samples()
    database = first.database(sample)
    assert len(database.instances) == 3 and database.generated == 2
    assert {path.parent for path in database.instances[1:]} == {home / "variants"}
    made = database.instances[1:]
    times = [path.stat().st_mtime_ns for path in made]
    again = task(tmp_path, 3).database(sample).instances[1:]
    assert again == made and [path.stat().st_mtime_ns for path in again] == times


@pytest.mark.parametrize("instances", [1, 3])
def test_a_bare_schema_is_filled_so_that_its_gold_returns_rows(instances: int, tmp_path: Path) -> None:
    bare = task(tmp_path, instances, SHOP)
    right = judged(bare, GOLD)
    assert right.reason is Reason.CORRECT and right.gold_rows > 0
    for wrong in ("SELECT name FROM item WHERE 0", "SELECT name FROM item", "SELECT 1"):
        assert judged(bare, wrong).verdicts["strict"] == 0.0
    assert right.verdicts == dict.fromkeys(MODES, 1.0)


def test_the_prompt_describes_the_database_without_generated_instances(tmp_path: Path) -> None:
    bare = task(tmp_path, 3, SHOP)
    (sample,) = bare.samples()
    assert bare.prompt_database(sample).ddl == SHOP and bare.prompt_database(sample).instances == ()
    assert bare.database(sample).ddl == SHOP and len(bare.database(sample).instances) == 3


def test_a_schema_that_does_not_run_is_our_failure(tmp_path: Path) -> None:
    assert judged(task(tmp_path, 2, "CREATE TALBE item"), GOLD).reason is Reason.INFRASTRUCTURE


def test_other_engines_need_files_of_their_own(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"scoring\.instances"):
        duck = task(tmp_path, 2, engine="duckdb")
        duck.database(Sample("q", "?", "shop", (GOLD,)))


def test_generated_instances_are_part_of_the_identity(tmp_path: Path) -> None:
    found = []
    for one in (task(tmp_path, 1), task(tmp_path, 2), task(tmp_path, 1, SHOP)):
        found.append(of_task(one, "dev", one.samples("dev"))["databases"])
    assert len({str(contents) for contents in found}) == 3
    two = task(tmp_path, 2)
    path = two.database(two.samples("dev")[0]).instances[-1]
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM item WHERE rowid = 1")
    assert of_task(two, "dev", two.samples("dev"))["databases"] != found[1]
