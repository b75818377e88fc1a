"""Golds that read the clock or random numbers are recognised, and reported by check and by the run."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from harness.cli import main
from tasks.databases.sql_text import volatile
from tasks.types import Engine

CASES: list[tuple[Engine, str, bool]] = [
    ("sqlite", "SELECT date('now')", True),
    ("sqlite", "SELECT strftime('%Y', 'NOW') - born FROM p", True),
    ("sqlite", "SELECT julianday() - julianday(born) FROM p", True),
    ("sqlite", "SELECT strftime('%Y')", True),
    ("sqlite", 'SELECT date("now")', True),
    ("sqlite", "SELECT CURRENT_TIMESTAMP", True),
    ("sqlite", "SELECT name FROM p ORDER BY random() LIMIT 1", True),
    ("sqlite", "SELECT hex(randomblob(4))", True),
    ("sqlite", "SELECT date(born), strftime('%Y', born) FROM p", False),
    ("sqlite", "SELECT * FROM p WHERE word = 'now'", False),
    ("sqlite", "SELECT 'random()', \"current_date\" FROM p -- date('now')", False),
    ("sqlite", "SELECT random FROM p", False),
    ("sqlite", 'SELECT "random" ()', True),
    ("sqlite", "SELECT [random]()", True),
    ("sqlite", "SELECT random /* ( */ ()", True),
    ("sqlite", "SELECT `date` ('now')", True),
    ("sqlite", 'SELECT "random" FROM p', False),
    ("duckdb", 'SELECT "random"()', True),
    ("duckdb", "SELECT ['now', random()]", True),
    ("sqlite", 'SELECT date("now")', True),
    ("sqlite", "SELECT strftime('%Y' || '-%m')", True),
    ("sqlite", "SELECT strftime('%Y', substr(born, 1, 4)) FROM p", False),
    ("duckdb", "SELECT age(strptime(born, '%Y-%m-%d')) FROM p", True),
    ("duckdb", "SELECT age(least(born, died)::TIMESTAMP) FROM p", True),
    ("duckdb", "SELECT age(least(born, died), died) FROM p", False),
    ("duckdb", "SELECT today() - born FROM p", True),
    ("duckdb", "SELECT now()", True),
    ("duckdb", "SELECT age(born) FROM p", True),
    ("duckdb", "SELECT age(born, died) FROM p", False),
    ("duckdb", "SELECT uuid()", True),
    ("duckdb", "SELECT * FROM p USING SAMPLE 3", True),
    ("duckdb", "SELECT current_localtimestamp", True),
    ("duckdb", "SELECT date_trunc('year', born), now FROM p", False),
    ("mariadb", "SELECT a FROM t ORDER BY RAND()", True),
    ("mariadb", "SELECT YEAR(CURDATE()) - born FROM p", True),
    ("mariadb", "SELECT UNIX_TIMESTAMP()", True),
    ("mariadb", "SELECT UNIX_TIMESTAMP(born), 'now' FROM p", False),
]

GOLDS = ("SELECT a FROM t", "SELECT date('now')", "SELECT a FROM t ORDER BY random()")


@pytest.mark.parametrize(("engine", "sql", "expected"), CASES)
def test_golds_that_change(engine: Engine, sql: str, expected: bool) -> None:
    assert volatile(sql, engine) is expected


def test_an_evaluation_warns(tmp_path: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.executescript("CREATE TABLE t(a INT); INSERT INTO t VALUES (1)")
    rows = [{"question": str(i), "query": sql, "db_id": "d"} for i, sql in enumerate(GOLDS)]
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    (tmp_path / "task.yaml").write_text(
        f"name: mine\ndataset: {{path: '{tmp_path}/{{split}}', splits: {{dev: dev.json}}}}\n"
        f"databases: {{path: '{tmp_path}/{{database}}.sqlite'}}\n"
    )
    assert main(["eval", "--task", str(tmp_path / "task.yaml"), "--model", "gold"]) == 0
    assert "2 golds read the clock or random numbers" in " ".join(capsys.readouterr().err.split())
