"""No statement has an effect on a later one: files and databases in memory, both engines."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest

from rewards.grader import Grader
from rewards.types import UNSCORED, Answer, Reason
from tasks.databases.sandbox.executor import Executor
from tasks.spec import ScoringSpec
from tasks.types import Database, Limits, Status

LIMITS = Limits(seconds=2, steps=5_000_000, rows=1000, memory=512 * 2**20)
DDL = {
    "sqlite": "CREATE TABLE t(a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z');",
    "duckdb": "CREATE TABLE t(a INTEGER, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z');"
    " CREATE SEQUENCE s; CREATE VIEW v AS SELECT nextval('s') AS n; CREATE MACRO m() AS nextval('s');",
}
WRITES = {
    "sqlite": [
        "WITH x AS (SELECT 1) DELETE FROM t",
        "WITH x AS (SELECT 1) INSERT INTO t SELECT 9, 'q' RETURNING a",
        "UPDATE t SET a = 0 RETURNING a",
        "SELECT * FROM pragma_user_version",
        "SELECT load_extension('x')",
        "SELECT * FROM pragma_case_sensitive_like",
        "PRAGMA writable_schema = 1",
        "CREATE TEMP TABLE t(a)",
        "ATTACH ':memory:' AS x",
    ],
    "duckdb": [
        "WITH x AS (DELETE FROM t RETURNING *) SELECT 1",
        "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
        "WITH x AS (INSERT INTO t VALUES (9, 'q') RETURNING *) SELECT * FROM x",
        "WITH x AS (UPDATE t SET a = 0 RETURNING *) SELECT * FROM x",
        "WITH y AS (SELECT 1), x AS (DELETE FROM t) SELECT * FROM y",
        "WITH x AS (COPY t TO 'written.csv') SELECT 1",
        "SELECT nextval('s')",
        "SELECT setval('s', 77)",
        "SELECT n FROM v",
        "SELECT m()",
        "SELECT * FROM query('SELECT nextval(''s'')')",
        "SELECT * FROM query('SELECT * FROM register_exter'"
        " || 'nal_resource(''type'', ''n'', MAP {''a'': ''b''})')",
        "SELECT sleep_ms(100000)",
        "SELECT pg_sleep(100)",
        'SELECT main."sleep_ms"/* so */(100000)',
        "SELECT `sleep_ms`(100000)",
        "SELECT (100000).sleep_ms(), 'é'",
        "SELECT * FROM query('SELECT sleep_ms(100000)')",
        "SELECT * FROM query('SELECT sle' || 'ep_ms(100000)')",
        "FROM \"query\"/* so */('SELECT random() AS sleep')",
    ],
}
"""Statements that are refused in any disguise."""
TOUCHES = {
    "sqlite": [
        "SELECT total_changes(), changes(), last_insert_rowid()",
        "SELECT json_group_array(a) FROM t",
        "SELECT a FROM t ORDER BY random()",
        "SELECT x.a FROM t x, t, t y, t z, t u, t w, t p, t q, t r",
        "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT max(x) FROM c",
        "SELECT abs(-9223372036854775808 + a - 1) FROM t ORDER BY a DESC",
        "SELECT hex(zeroblob(100000000)) FROM t",
        "WITH t AS MATERIALIZED (SELECT 7 AS a) SELECT * FROM t",
    ],
    "duckdb": [
        "SELECT setseed(0.5), random()",
        "SELECT * FROM register_external_resource('type', 'name', MAP {'a': 'b'})",
        "SELECT * FROM checkpoint()",
        "SELECT * FROM force_checkpoint()",
        "SELECT * FROM enable_logging()",
        "SELECT write_log('x')",
        "SELECT * FROM truncate_duckdb_logs()",
        "SELECT * FROM enable_profiling()",
        "SELECT getvariable('x')",
        "SELECT x.a FROM t x, t, t y, t z, t u, t w, t p, t q, t r",
        "SELECT CASE WHEN a = 3 THEN error('no') END FROM t",
        "SELECT list(repeat('x', 10000000)) FROM range(1000)",
        "PIVOT t ON b USING sum(a)",
        "PIVOT t ON nothing USING sum(a)",
        "SUMMARIZE t",
        "DESCRIBE t",
        "WITH t AS MATERIALIZED (SELECT 7 AS a) SELECT * FROM t",
        "PREPARE p AS SELECT 1",
        "SET VARIABLE x = 1",
        "BEGIN TRANSACTION",
        "USE temp",
        "CREATE TEMP TABLE t(a INT)",
        "CREATE TEMP MACRO abs(x) AS 7",
        "ATTACH ':memory:' AS more",
        "SELECT nextval('s'), 1 / 0",
    ],
}
"""Statements that may run, without any lasting effect."""
STATE = {
    "sqlite": ["SELECT * FROM t", "SELECT * FROM sqlite_master", "SELECT total_changes()"],
    "duckdb": [
        "SELECT * FROM t",
        "SELECT name, value FROM duckdb_settings() ORDER BY 1",
        "SELECT * FROM duckdb_sequences()",
        "SELECT * FROM duckdb_external_resources()",
        "SELECT * FROM duckdb_tables() ORDER BY ALL",
        "SELECT * FROM duckdb_logs()",
        "SELECT count(*) FROM duckdb_functions()",
        "SELECT type_name FROM duckdb_types() ORDER BY 1",
        "SELECT * FROM duckdb_variables()",
        "SELECT * FROM duckdb_prepared_statements()",
        "SELECT database_name FROM duckdb_databases() ORDER BY 1",
        "SELECT current_database(), current_schema(), abs(-3), getvariable('x')",
    ],
}
"""What a later query can see of the database."""
CASES = [
    (engine, place, sql)
    for engine in ("sqlite", "duckdb")
    for place in ("file", "memory")
    for sql in (*WRITES[engine], *TOUCHES[engine])
]


def make(engine: Any, place: str, folder: Path) -> Database:
    if place == "memory":
        return Database("d", engine, ddl=DDL[engine])
    path = folder / f"d.{engine}"
    if engine == "sqlite":
        with sqlite3.connect(path) as connection:
            connection.executescript(DDL[engine])
        connection.close()
    else:
        with duckdb.connect(str(path)) as one:
            one.execute(DDL[engine])
    return Database("d", engine, (path,))


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Database]:
    folder = tmp_path_factory.mktemp("state")
    return {(e, p): make(e, p, folder) for e in ("sqlite", "duckdb") for p in ("file", "memory")}


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    executor = Executor(LIMITS)
    yield executor
    executor.close()


@pytest.mark.parametrize(("engine", "place", "sql"), CASES)
def test_no_statement_changes_what_the_next_one_sees(
    executor: Executor, databases: dict[tuple[str, str], Database], engine: str, place: str, sql: str
) -> None:
    database = databases[engine, place]

    def state() -> list[object]:
        outcomes = [executor.run(database, 0, query) for query in STATE[engine]]
        assert all(outcome.ok for outcome in outcomes)
        return [outcome.rows for outcome in outcomes]

    files = {path: hashlib.sha256(path.read_bytes()).digest() for path in database.instances}
    before = state()
    outcome = executor.run(database, 0, sql)
    if sql in WRITES[engine]:
        assert not outcome.ok and outcome.status is not Status.INFRASTRUCTURE, outcome
    if any(word in sql for word in ("RETURNING", "nextval", "sleep", "query")):
        assert outcome.status is Status.FORBIDDEN_STATEMENT, outcome
    assert state() == before
    assert {path: hashlib.sha256(path.read_bytes()).digest() for path in database.instances} == files


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM t WHERE b LIKE '%sleep_ms(%'",
        "SELECT a, $$pg_sleep(1)$$, $x$ sleep_ms( $x$, E'\\'sleep_ms(' FROM t -- sleep_ms(1)",
        "/* sleep_ms( /* pg_sleep(9) */ */ SELECT a AS sleep_ms FROM t",
        'SELECT a AS "sleep_ms(3)" FROM t',
        "SELECT count(*) FROM t AS pg_sleep WHERE pg_sleep.b NOT IN ('query(', 'é漢 sleep_ms(')",
    ],
)
def test_names_in_strings_or_comments_are_no_calls(
    executor: Executor, databases: dict[tuple[str, str], Database], sql: str
) -> None:
    assert executor.run(databases["duckdb", "file"], 0, sql).ok


def test_text_in_a_message_is_no_refusal(
    executor: Executor, databases: dict[tuple[str, str], Database]
) -> None:
    for text in ('Cannot write to database "', '" which is attached in read-only mode'):
        outcome = executor.run(databases["duckdb", "file"], 0, f"SELECT CAST('{text}' AS INT) FROM t")
        assert outcome.status is Status.EXECUTION_ERROR


def test_a_seed_set_by_one_query_is_not_the_next_ones(databases: dict[tuple[str, str], Database]) -> None:
    for place in ("file", "memory"):
        executor, seen = Executor(LIMITS), set()
        for _ in range(2):
            executor.run(databases["duckdb", place], 0, "SELECT setseed(0.5)")
            seen.add(executor.run(databases["duckdb", place], 0, "SELECT random()").rows)
        assert len(seen) == 2


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_gold_runs_on_rows_that_no_answer_has_changed(engine: Any) -> None:
    database = Database("d", engine, ddl=DDL[engine])
    gold, write = "SELECT count(*) FROM t", WRITES[engine][0]
    with Grader(ScoringSpec(), workers=1) as grader:
        hostile = [Answer(database, (gold,), text) for text in (write, "SELECT 0")]
        late = Answer(database, ("SELECT a FROM t",), "SELECT a FROM t")
        grades = grader.grade_answers([*hostile, late])
    assert [grade.attempt.verdicts["strict"] for grade in grades] == [0.0, 0.0, 1.0]  # type: ignore[index]
    assert grades[2].attempt.gold_rows == 3


EXCUSES = [
    "SELECT * FROM read_csv([])",
    "SELECT * FROM read_json([])",
    "SELECT * FROM read_parquet([])",
    "SELECT * FROM read_text('/nowhere/*')",
    "SELECT * FROM parquet_schema([])",
    "SELECT * FROM sniff_csv('')",
    "SELECT * FROM glob('')",
    "SELECT error('IO Error: Could not read from file: checksum')",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM which_secret('', '')",
]
"""Queries for which DuckDB blames the file."""


@pytest.mark.parametrize("place", ["file", "memory"])
def test_no_answer_can_blame_the_database(databases: dict[tuple[str, str], Database], place: str) -> None:
    database = databases["duckdb", place]
    with Grader(ScoringSpec(), workers=1) as grader:
        for grade in grader.grade_answers([Answer(database, ("SELECT a FROM t",), text) for text in EXCUSES]):
            assert grade.attempt.reason not in UNSCORED and grade.scores["execution"].value == 0.0, (
                grade.attempt
            )


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_file_damaged_where_the_answer_reads_is_our_failure(engine: Any, tmp_path: Path) -> None:
    ddl = "CREATE TABLE t AS SELECT 1 AS a; CREATE TABLE big AS {rows};"
    numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 300000)"
    path = tmp_path / f"d.{engine}"
    if engine == "sqlite":
        with sqlite3.connect(path) as connection:
            connection.executescript(ddl.format(rows=f"{numbers} SELECT x, x * 7 AS y FROM c"))
        connection.close()
    else:
        with duckdb.connect(str(path)) as one:
            one.execute(ddl.format(rows="SELECT range AS x, hash(range) AS y FROM range(1000000)"))
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 4096 * 100] = b"\xff" * 4096 * 100
    path.write_bytes(data)
    database = Database("d", engine, (path,))
    with Grader(ScoringSpec(), workers=1) as grader:
        damaged, honest = grader.grade_answers(
            [
                Answer(database, ("SELECT a FROM t",), text)
                for text in ("SELECT sum(x), sum(y % 1000) FROM big", "SELECT a FROM t")
            ]
        )
    assert damaged.attempt.reason is Reason.INFRASTRUCTURE, damaged.attempt
    assert honest.attempt.reason is Reason.CORRECT
