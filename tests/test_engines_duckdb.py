"""DuckDB in the sandbox: the status of hostile and unusual statements, and values as plain cells."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from rewards.grader import Grader
from rewards.types import Answer
from tasks.databases.sandbox.executor import Executor
from tasks.databases.sandbox.pool import Sandbox
from tasks.spec import ScoringSpec
from tasks.types import Database, Limits, Mode, Status

LIMITS = Limits(seconds=3, rows=1000, cells=5000, bytes=8 * 2**20, memory=768 * 2**20)

STATEMENTS: list[tuple[str, Status]] = [
    ("SELECT 1; -- one", Status.OK),
    ("FROM t LIMIT 1", Status.OK),
    (
        "WITH RECURSIVE x(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x WHERE a < 9) SELECT * FROM x",
        Status.OK,
    ),
    ("SELECT 'a;b', $$x;y$$", Status.OK),
    ("FROM t SELECT a WHERE a > 700", Status.OK),
    ("TABLE t", Status.OK),
    ("PIVOT t ON a % 3 USING max(b)", Status.OK),
    ("(PIVOT t ON a % 3 IN (0, 1) USING max(b))", Status.OK),
    ("WITH p AS (PIVOT t ON a % 3 USING max(b)) FROM p", Status.OK),
    ("SELECT * FROM (PIVOT t ON a % 3 USING max(b))", Status.OK),
    ("UNPIVOT t ON a", Status.OK),
    ("DESCRIBE t", Status.OK),
    ("SUMMARIZE t", Status.OK),
    ("SHOW TABLES", Status.OK),
    ("CREATE TEMP TABLE t AS PIVOT t ON a % 3 USING max(b)", Status.FORBIDDEN_STATEMENT),
    ("SET VARIABLE x = (SELECT max(b) FROM (PIVOT t ON a % 3 USING max(b)))", Status.FORBIDDEN_STATEMENT),
    ("EXPLAIN PIVOT t ON a % 3", Status.FORBIDDEN_STATEMENT),
    ("PREPARE p AS PIVOT t ON a % 3", Status.FORBIDDEN_STATEMENT),
    ("COPY (PIVOT t ON a % 3) TO '/tmp/harness_pivot.csv'", Status.FORBIDDEN_STATEMENT),
    ("", Status.NO_SQL),
    ("-- comment", Status.NO_SQL),
    ("SELECT 1; SELECT 2", Status.MANY_STATEMENTS),
    ("DELETE FROM t", Status.FORBIDDEN_STATEMENT),
    ("INSERT INTO t VALUES (1)", Status.FORBIDDEN_STATEMENT),
    ("CREATE TEMP TABLE t(a INT)", Status.FORBIDDEN_STATEMENT),
    ("CREATE TEMP VIEW t AS SELECT 1", Status.FORBIDDEN_STATEMENT),
    ("CREATE TEMP MACRO abs(x) AS 1", Status.FORBIDDEN_STATEMENT),
    ("DROP TABLE t", Status.FORBIDDEN_STATEMENT),
    ("SET threads = 4", Status.FORBIDDEN_STATEMENT),
    ("PRAGMA memory_limit = '9GB'", Status.FORBIDDEN_STATEMENT),
    ("ATTACH '/tmp/x.duckdb'", Status.FORBIDDEN_STATEMENT),
    ("COPY t TO '/tmp/harness_copy.csv'", Status.FORBIDDEN_STATEMENT),
    ("EXPORT DATABASE '/tmp/harness_export'", Status.FORBIDDEN_STATEMENT),
    ("INSTALL httpfs", Status.FORBIDDEN_STATEMENT),
    ("LOAD httpfs", Status.FORBIDDEN_STATEMENT),
    ("EXPLAIN SELECT 1", Status.FORBIDDEN_STATEMENT),
    ("BEGIN", Status.FORBIDDEN_STATEMENT),
    ("CHECKPOINT", Status.FORBIDDEN_STATEMENT),
    ("PREPARE p AS SELECT 1", Status.FORBIDDEN_STATEMENT),
    ("SELECT * FROM read_csv('/etc/passwd')", Status.FORBIDDEN_STATEMENT),
    ("SELECT * FROM read_text('/etc/passwd')", Status.FORBIDDEN_STATEMENT),
    ("SELECT * FROM glob('/etc/*')", Status.FORBIDDEN_STATEMENT),
    ("SELECT * FROM '/etc/passwd'", Status.EXECUTION_ERROR),
    ("SELECT * FROM database", Status.EXECUTION_ERROR),
    ("SELECT nope FROM t", Status.EXECUTION_ERROR),
    ("SELECT getenv('HOME')", Status.EXECUTION_ERROR),
    ("SELECT CAST('x' AS INT)", Status.EXECUTION_ERROR),
    ("SELECT ?", Status.EXECUTION_ERROR),
    ("SELEC 1", Status.SYNTAX_ERROR),
    ("SELECT 'never closed", Status.SYNTAX_ERROR),
    ("SELECT 'a\0b'", Status.SYNTAX_ERROR),
    ("SELECT '\udc80'", Status.SYNTAX_ERROR),
    ("SELECT '" + "x" * 10_000_000 + "'", Status.SYNTAX_ERROR),
    ("SELECT i FROM range(1000000000) r(i)", Status.TOO_MANY_ROWS),
    ("SELECT repeat('x', 100000) FROM range(500)", Status.MEMORY),
    ("SELECT repeat('x', 4000000000)", Status.MEMORY),
    ("SELECT list(i) FROM range(1000000000) r(i)", Status.MEMORY),
    ("SELECT range(200000000)", Status.MEMORY),
    (
        "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c WHERE a.range * b.range = 7",
        Status.TIMEOUT,
    ),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("hostile") / "hostile.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t AS SELECT range AS a, 'b' || range AS b FROM range(800)")
    return Database("hostile", "duckdb", (path,))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(1, LIMITS) as sandbox:
        yield sandbox


@pytest.mark.parametrize(("sql", "status"), STATEMENTS, ids=[sql[:50] for sql, _ in STATEMENTS])
def test_every_statement_has_its_status_and_no_effect_on_the_next(
    sandbox: Sandbox, database: Database, sql: str, status: Status
) -> None:
    path = database.instances[0]
    before = hashlib.sha256(path.read_bytes()).hexdigest(), sorted(path.parent.iterdir())
    honest = "SELECT count(*), max(b), abs(-1), current_setting('threads') FROM t"
    hostile, after = sandbox.run([(database, 0, sql), (database, 0, honest)])
    assert hostile.status is status, hostile.message
    assert hostile.ok == bool(hostile.rows)
    assert after.rows == ((800, "b99", 1, 1),)
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), sorted(path.parent.iterdir())) == before


def test_deep_nesting_is_refused_and_the_worker_survives_or_is_replaced(
    sandbox: Sandbox, database: Database
) -> None:
    deep = "SELECT " + "(" * 100_000 + "1" + ")" * 100_000
    hostile, after = sandbox.run([(database, 0, deep), (database, 0, "SELECT 1")])
    assert hostile.status in (Status.SYNTAX_ERROR, Status.MEMORY)
    assert after.rows == ((1,),)


VALUES = [
    ("true", 1),
    ("NULL", None),
    ("170141183460469231731687303715884105727::HUGEINT", 170141183460469231731687303715884105727),
    ("1.50::DECIMAL(10, 2)", ("decimal", "1.5")),
    ("-12345678901234567890.123456789::DECIMAL(38, 9)", ("decimal", "-12345678901234567890.123456789")),
    ("2.00::DECIMAL(10, 2)", 2),
    ("DATE '2020-01-02'", "2020-01-02"),
    ("TIMESTAMP '2020-01-02 03:04:05'", "2020-01-02 03:04:05"),
    ("TIMESTAMPTZ '2020-01-02 03:04:05+05'", "2020-01-01 22:04:05+00:00"),
    ("TIME '03:04:05'", "03:04:05"),
    ("INTERVAL 3 DAY", "3 days, 0:00:00"),
    ("'00000000-0000-0000-0000-000000000001'::UUID", "00000000-0000-0000-0000-000000000001"),
    ("'\\xAA'::BLOB", b"\xaa"),
    ("340282366920938463463374607431768211455::UHUGEINT", 2**128 - 1),
    ("12345678901234567890123456789012345678901::BIGNUM", 12345678901234567890123456789012345678901),
    ("TIMESTAMP '2020-01-02 03:04:05.50'", "2020-01-02 03:04:05.5"),
    ("'2020-01-02 03:04:05.123456789'::TIMESTAMP_NS", "2020-01-02 03:04:05.123456789"),
    ("'2020-01-02 03:04:05.5'::TIMESTAMP_NS", "2020-01-02 03:04:05.5"),
    ("(SELECT max(timestamp_tz_ns) FROM test_all_types())", "2262-04-11 23:47:16.854775806+00:00"),
    ("'03:04:05.123456789'::TIME_NS", "03:04:05.123456789"),
    ("'12:00:00.5+02'::TIMETZ", "12:00:00.5+02:00"),
    ("'infinity'::DATE", "infinity"),
    ("'-infinity'::TIMESTAMP", "-infinity"),
    ("'infinity'::TIMESTAMPTZ", "infinity"),
    ("DATE '9999-12-31'", "9999-12-31"),
    ("DATE '10000-01-01'", "10000-01-01"),
    ("TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'", "9999-12-31 23:59:59.999999+00:00"),
    ("INTERVAL 12 MONTHS", "360 days, 0:00:00"),
    ("'0101'::BIT", "0101"),
    ("union_value(k := 1)", 1),
    ("[1, 2]::VARIANT", ("list", 1, 2)),
    ("[1, NULL, 3]", ("list", 1, None, 3)),
    ("[1, 2]::INTEGER[2]", ("list", 1, 2)),
    ("[0.5::DOUBLE, 'nan', 'infinity'][3]", float("inf")),
    ("['2020-01-02 03:04:05.123456789'::TIMESTAMP_NS]", ("list", "2020-01-02 03:04:05.123456789")),
    ("{'a': 1, 'b': [DATE '2020-01-02']}", ("struct", "a", 1, "b", ("list", "2020-01-02"))),
    ("{'a b': DATE '-infinity', 'key': 1}", ("struct", "a b", "-infinity", "key", 1)),
    ("row(DATE 'infinity', true)", ("tuple", "infinity", 1)),
    ("MAP {'k': 1.5::DECIMAL(3, 1)}", ("map", "k", ("decimal", "1.5"))),
    ("MAP {'key': [1], 'value': [2]}", ("map", "key", ("list", 1), "value", ("list", 2))),
    ("MAP {[DATE 'infinity']: 1}", ("map", ("list", "infinity"), 1)),
    ("MAP {{'a': 1}: 2}", ("map", ("struct", "a", 1), 2)),
    ("'x'::ENUM('x', 'y')", "x"),
    ("'inf'::DOUBLE", float("inf")),
]


@pytest.mark.parametrize(("sql", "value"), VALUES, ids=[sql for sql, _ in VALUES])
def test_values_become_plain(sandbox: Sandbox, database: Database, sql: str, value: object) -> None:
    (outcome,) = sandbox.run([(database, 0, f"SELECT {sql}")])
    assert outcome.rows == ((value,),)
    assert type(outcome.rows[0][0]) is type(value)


def test_a_database_that_is_missing_or_corrupt_is_our_failure(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.duckdb"
    garbage.write_bytes(b"not a database" * 1000)
    executor = Executor(LIMITS)
    for path in (tmp_path / "none.duckdb", garbage):
        outcome = executor.run(Database("x", "duckdb", (path,)), 0, "SELECT 1")
        assert outcome.status is Status.INFRASTRUCTURE
        assert "\n" not in outcome.message


def test_a_database_can_be_built_from_ddl() -> None:
    database = Database("d", "duckdb", ddl="CREATE TABLE t(a INT); INSERT INTO t VALUES (1), (2);")
    assert Executor(LIMITS).run(database, 0, "SELECT sum(a) FROM t").rows == ((3,),)


def test_an_infinity_far_down_is_found_and_rows_stay_in_order(sandbox: Sandbox, database: Database) -> None:
    sql = """SELECT i, CASE WHEN i = 150 THEN DATE 'infinity' ELSE DATE '2020-01-01' + i::INTEGER END AS day
             FROM range(200) t(i) ORDER BY i DESC; -- the last come first"""
    (outcome,) = sandbox.run([(database, 0, sql)])
    assert [row[0] for row in outcome.rows] == list(range(199, -1, -1))
    assert outcome.rows[49] == (150, "infinity")
    assert outcome.rows[-1] == (0, "2020-01-01")
    assert outcome.columns == ("i", "day")


SHORT = [
    ("SELECT * FROM t", "FROM t"),
    ("SELECT a FROM t ORDER BY a DESC LIMIT 3", "```sql\nFROM t SELECT a ORDER BY a DESC LIMIT 3\n```"),
    ("SELECT * FROM t", "```\nTABLE t;\n```"),
    ("FROM t WHERE a > 790 ORDER BY a", "SELECT * FROM t WHERE a > 790 ORDER BY a"),
    ("PIVOT t ON b USING max(a) GROUP BY a ORDER BY a", "PIVOT t ON b USING min(a) GROUP BY a ORDER BY a"),
    (
        "SELECT count(*) FILTER (a % 2 = 0), count(*) FILTER (a % 2 = 1) FROM t",
        "PIVOT (SELECT a % 2 AS k FROM t) ON k USING count(*)",
    ),
    ("DESCRIBE t", "DESCRIBE t"),
    ("SUMMARIZE t", "SUMMARIZE FROM t"),
]


@pytest.mark.parametrize(("gold", "answer"), SHORT, ids=[answer for _, answer in SHORT])
def test_short_queries_are_judged(database: Database, gold: str, answer: str) -> None:
    modes = (Mode.STRICT, Mode.SPIDER, Mode.BIRD)
    with Grader(ScoringSpec(modes=modes), workers=1) as grader:
        attempt = grader.grade_answers([Answer(database, (gold,), answer)])[0].attempt
    assert attempt.verdicts == dict.fromkeys(modes, 1.0), attempt.detail
