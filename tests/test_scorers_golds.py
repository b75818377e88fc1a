"""The gold cache: results are found again, damaged files are ignored, failures to write change nothing."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from rewards import gold_cache
from rewards.grader import Grader
from rewards.types import Answer, Attempt
from tasks.databases.sandbox.executor import Executor
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
        return grader.grade_answers([Answer(database, (gold,), "SELECT 1200000, x'00ff', 0.1, NULL")])[
            0
        ].attempt


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "home").rglob("*")) if (tmp_path / "home").exists() else []


def gold_file(tmp_path: Path) -> Path:
    """The larger of the two files of a slow gold is its result, the other its database's digest."""
    return max((path for path in files(tmp_path) if path.is_file()), key=lambda path: path.stat().st_size)


def test_the_result_of_a_slow_gold_is_cached_and_found(database: Database, tmp_path: Path) -> None:
    first = judged(database)
    assert first.reason == "correct"
    before = [(path, path.stat().st_mtime_ns) for path in files(tmp_path)]
    assert len(before) == 3
    assert judged(database).reason == "correct"
    assert [(path, path.stat().st_mtime_ns) for path in files(tmp_path)] == before


def test_a_damaged_file_is_ignored(database: Database, tmp_path: Path) -> None:
    judged(database)
    file = gold_file(tmp_path)
    whole = file.read_bytes()
    for damaged in (b"", whole[:-1], whole[:20], whole.replace(b"\xff", b"\xfe")):
        file.write_bytes(damaged)
        assert gold_cache.read(str(file.parent), file.name) is None
        assert judged(database).reason == "correct"
        assert gold_cache.read(str(file.parent), file.name) is not None


def test_a_changed_database_has_other_results(database: Database, tmp_path: Path) -> None:
    judged(database)
    with sqlite3.connect(database.instances[0]) as connection:
        connection.execute("INSERT INTO t VALUES (3)")
    assert judged(database).reason == "wrong_rows"
    assert len(files(tmp_path)) == 5


def test_a_copy_of_a_database_shares_its_results(database: Database, tmp_path: Path) -> None:
    judged(database)
    copied = Path(shutil.copy(database.instances[0], tmp_path / "copy.sqlite"))
    judged(Database("other", instances=(copied,)))
    assert len(files(tmp_path)) == 4  # one more digest, no more results


def test_a_home_that_cannot_be_written_changes_no_verdict(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "file"))
    assert judged(database).reason == "correct"


def test_fast_golds_are_not_cached(database: Database, tmp_path: Path) -> None:
    judged(database, "SELECT a FROM t")
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "call", ["random()", '"random"()', "[random] ()", "date('now')", "CURRENT_DATE", "date()"]
)
def test_golds_that_change_from_run_to_run_are_not_cached(
    call: str, database: Database, tmp_path: Path
) -> None:
    judged(database, SLOW.replace("0.1", f"{call} IS NULL"))
    assert files(tmp_path) == []


def test_the_name_depends_on_all_that_a_result_depends_on() -> None:
    names = {
        gold_cache.result_file("a", "sqlite", "SELECT 1", Limits()),
        gold_cache.result_file("b", "sqlite", "SELECT 1", Limits()),
        gold_cache.result_file("a", "sqlite", "SELECT 2", Limits()),
        gold_cache.result_file("a", "sqlite", "SELECT 1", Limits(rows=1)),
        gold_cache.result_file("a", "duckdb", "SELECT 1", Limits()),
    }
    assert len(names) == 5


def test_failures_are_not_cached(database: Database, tmp_path: Path) -> None:
    cache = gold_cache.GoldCache(str(tmp_path / "home"), Executor(Limits()))
    cache.add(database, 0, "SELECT 1", Outcome(Status.TIMEOUT, seconds=30.0))
    cache.add(database, 0, "SELECT 1", Outcome(Status.OK, seconds=0.01))
    assert cache.new_files == []
    cache.add(database, 0, "SELECT 1", Outcome(Status.OK, seconds=1.0))
    assert len(cache.new_files) == 2
