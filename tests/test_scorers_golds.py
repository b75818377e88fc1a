"""Slow golds' results on disk: found again, never trusted when damaged, never in the way."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from rewards import golds
from rewards.grade import Grader
from rewards.types import Answer, Attempt
from tasks.spec import ScoringSpec
from tasks.types import Database, Limits, Outcome, Status

SLOW = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 600000)"
    " SELECT COUNT(*), x'00ff', 0.1, NULL FROM n, t"
)


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    with sqlite3.connect(tmp_path / "t.sqlite") as connection:
        connection.executescript("CREATE TABLE t (a); INSERT INTO t VALUES (1), (2);")
    return Database("t", instances=(tmp_path / "t.sqlite",))


def judged(database: Database, gold: str = SLOW) -> Attempt:
    with Grader(ScoringSpec(), workers=1, structure=False) as grader:
        return grader.grade([Answer(database, (gold,), "SELECT 1200000, x'00ff', 0.1, NULL")])[0].attempt


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "home").rglob("*")) if (tmp_path / "home").exists() else []


def test_a_slow_gold_is_kept_and_found_again(database: Database, tmp_path: Path) -> None:
    first = judged(database)
    assert first.reason == "correct"
    folder, file = files(tmp_path)
    written = file.stat().st_mtime_ns
    again = judged(database)
    assert again == first or again.seconds != first.seconds
    assert files(tmp_path) == [folder, file] and file.stat().st_mtime_ns == written


def test_a_damaged_file_is_not_read(database: Database, tmp_path: Path) -> None:
    judged(database)
    file = files(tmp_path)[-1]
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole[:20], whole.replace(b"\xff", b"\xfe")):
        file.write_bytes(damaged)
        assert judged(database).reason == "correct"
        assert file.read_bytes()[:16] == golds.worth_keeping("x", result(file))[0][1][:16]


def result(file: Path) -> Outcome:
    outcome = golds.read(str(file.parent), file.name)
    assert outcome is not None
    return outcome


def test_a_changed_database_is_another(database: Database, tmp_path: Path) -> None:
    judged(database)
    with sqlite3.connect(database.instances[0]) as connection:
        connection.execute("INSERT INTO t VALUES (3)")
    assert judged(database).reason == "wrong_rows"
    assert len(files(tmp_path)) == 3


def test_a_home_that_cannot_be_written_is_no_matter(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "file"))
    assert judged(database).reason == "correct"


def test_fast_golds_leave_nothing(database: Database, tmp_path: Path) -> None:
    judged(database, "SELECT a FROM t")
    assert files(tmp_path) == []


@pytest.mark.parametrize("sql", ["SELECT random()", "SELECT date('now')", "SELECT CURRENT_DATE"])
def test_what_changes_is_not_kept(sql: str, database: Database) -> None:
    assert golds.name_of(database, 0, sql, Limits()) == ""


def test_the_name_tells_apart_all_that_a_result_depends_on(database: Database, tmp_path: Path) -> None:
    names = {
        golds.name_of(database, 0, "SELECT 1", Limits()),
        golds.name_of(database, 0, "SELECT 2", Limits()),
        golds.name_of(database, 0, "SELECT 1", Limits(rows=1)),
        golds.name_of(Database("t", "duckdb", database.instances), 0, "SELECT 1", Limits()),
    }
    assert len(names) == 4 and "" not in names
    assert golds.name_of(Database("d", ddl="CREATE TABLE t (a)"), 0, "SELECT 1", Limits()) == ""
    assert golds.worth_keeping("x", Outcome(Status.TIMEOUT, seconds=30.0)) == []
