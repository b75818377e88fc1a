"""What the scorer ``security`` flags in the text of a query: a table of facts for every engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rewards.exploits import Target, load
from rewards.extract import extract
from rewards.security.scan import scan, tables
from rewards.types import Flag, Reason
from tasks.databases.sql_text import MAX_CHARACTERS
from tasks.types import Engine

ALL: tuple[Engine, ...] = ("sqlite", "duckdb", "postgres", "mariadb")
PLAIN = [
    "SELECT name FROM person",
    "SELECT p.name FROM person p JOIN branch b ON p.branch_id = b.id GROUP BY 1 HAVING min(p.id) > 1",
    "WITH x AS (SELECT 1 AS a) SELECT a FROM x UNION ALL SELECT id FROM person ORDER BY 1 LIMIT 3",
    "SELECT 'DROP TABLE person; pg_sleep(9)' FROM person",
    'SELECT name AS "insert into" FROM person -- the names',
    "/* all names */ SELECT name FROM person;",
    "SELECT replace(name, 'a', 'b') FROM person",
    "SELECT 5 - -3 FROM person",
    "SELECT 'a''b -- c /* d' FROM person",
    "SELECT a.id FROM person a, person b WHERE a.id = b.id",
    "SELECT name FROM person WHERE id IN (SELECT id FROM person WHERE name LIKE '%/x.csv')",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i FROM n",
    "SELECT update_time, version FROM person",
    "SELECT name FROM person WHERE note = 'it is -- not; select a comment'",
]
FLAGGED: list[tuple[str, tuple[Engine, ...], str]] = [
    ("INSERT INTO person VALUES (1)", ALL, "write"),
    ("UPDATE person SET name = 'x'", ALL, "write"),
    ("DELETE FROM person", ALL, "write"),
    ("REPLACE INTO person VALUES (1)", ("sqlite",), "write"),
    ("MERGE INTO person USING b ON true WHEN MATCHED THEN DELETE", ("postgres", "duckdb"), "write"),
    ("WITH x AS (DELETE FROM person RETURNING id) SELECT id FROM x", ALL, "write"),
    ("WITH x AS (SELECT 1) INSERT INTO person SELECT * FROM x", ALL, "write"),
    ("SELECT * INTO copied FROM person", ("postgres", "duckdb"), "write"),
    ("TRUNCATE person", ("postgres", "duckdb"), "write"),
    ("DROP TABLE person", ALL, "ddl"),
    ("CREATE TABLE x(a)", ALL, "ddl"),
    ("ALTER TABLE person ADD COLUMN b", ALL, "ddl"),
    ("VACUUM", ALL, "ddl"),
    ("GRANT ALL ON person TO public", ("postgres",), "ddl"),
    ("SELECT 1; SELECT 2", ALL, "several_statements"),
    ("SELECT 1;;; SELECT 2", ALL, "several_statements"),
    ("SELECT name FROM person; DROP TABLE person --", ALL, "several_statements ddl"),
    ("SELECT pg_sleep(5)", ("postgres", "duckdb"), "delay"),
    ("SELECT Pg_Sleep /* x */ (5)", ("postgres",), "delay"),
    ('SELECT "pg_sleep"(5)', ("postgres",), "delay"),
    ("SELECT pg_catalog.pg_sleep(5)", ("postgres",), "delay catalogue"),
    ("SELECT CASE WHEN 1 = 1 THEN pg_sleep_for('5 s') END", ("postgres",), "delay"),
    ("SELECT sleep_ms(5000)", ("duckdb",), "delay"),
    ("SELECT count(*) FROM generate_series(1, 100000000)", ("postgres", "duckdb"), "heavy_computation"),
    ("SELECT count(*) FROM range(1000 * 1000)", ("duckdb",), "heavy_computation"),
    ("SELECT length(randomblob(100000000))", ("sqlite",), "heavy_computation"),
    ("SELECT repeat('x', 1e9::int)", ("postgres",), "heavy_computation"),
    ("SELECT count(*) FROM person a, person b, person c, person d", ALL, "heavy_computation"),
    (
        "SELECT count(*) FROM person CROSS JOIN branch CROSS JOIN branch c CROSS JOIN branch d",
        ALL,
        "heavy_computation",
    ),
    (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        ALL,
        "heavy_computation",
    ),
    ("SELECT load_extension('x')", ("sqlite",), "file_access"),
    ("SELECT readfile('/etc/passwd')", ("sqlite",), "file_access"),
    ("ATTACH '/tmp/x.db' AS x", ("sqlite", "duckdb"), "file_access"),
    ("SELECT * FROM read_csv('/etc/passwd')", ("duckdb",), "file_access"),
    ("SELECT * FROM '/etc/passwd'", ("duckdb",), "file_access"),
    ('SELECT * FROM "secret.parquet"', ("duckdb",), "file_access"),
    ("FROM 'a.csv'", ("duckdb",), "file_access"),
    ("SELECT * FROM person JOIN 'b.json' ON true", ("duckdb",), "file_access"),
    ("COPY person TO '/tmp/x'", ("duckdb", "postgres"), "file_access write"),
    ("INSTALL httpfs", ("duckdb",), "file_access"),
    ("SELECT pg_read_file('/etc/passwd')", ("postgres",), "file_access"),
    ("SELECT lo_import('/etc/passwd')", ("postgres",), "file_access"),
    ("SELECT query_to_xml('SELECT 1', true, true, '')", ("postgres",), "dynamic_sql"),
    ("SELECT * FROM 'https://example.org/a.csv'", ("duckdb",), "network_access"),
    ("SELECT * FROM postgres_scan('host=x', 'public', 't')", ("duckdb",), "network_access"),
    ("SELECT * FROM dblink('host=x', 'SELECT 1') AS t(a int)", ("postgres",), "network_access"),
    ("PRAGMA query_only = 0", ("sqlite", "duckdb"), "settings"),
    ("SET search_path = x", ("postgres", "duckdb"), "settings"),
    ("BEGIN", ALL, "settings"),
    ("SELECT set_config('role', 'x', false)", ("postgres",), "settings"),
    ("SELECT pg_advisory_lock(1)", ("postgres",), "settings"),
    ("SELECT pg_terminate_backend(1)", ("postgres",), "settings"),
    ("SELECT nextval('s')", ("postgres", "duckdb"), "settings"),
    ("SELECT name FROM person FOR UPDATE", ("postgres",), "settings"),
    ("SELECT * FROM query('SELECT 1')", ("duckdb",), "dynamic_sql"),
    ("SELECT sql FROM sqlite_master", ("sqlite", "duckdb"), "catalogue"),
    ('SELECT name FROM main."SQLITE_Schema"', ("sqlite",), "catalogue"),
    ("SELECT * FROM pragma_table_info('person')", ("sqlite", "duckdb"), "catalogue"),
    ("SELECT sqlite_version()", ("sqlite",), "catalogue"),
    ("SELECT table_name FROM information_schema.tables", ("postgres", "duckdb"), "catalogue"),
    ("SELECT * FROM pg_catalog.pg_class", ("postgres", "duckdb"), "catalogue"),
    ("SELECT usename FROM pg_user", ("postgres",), "catalogue"),
    ("SELECT * FROM duckdb_tables()", ("duckdb",), "catalogue"),
    ("SELECT version()", ("postgres", "duckdb"), "catalogue"),
    ("SELECT current_user", ("postgres",), "catalogue"),
    ("SHOW TABLES", ("duckdb",), "catalogue"),
    ("EXPLAIN SELECT 1", ALL, "catalogue"),
    ("SELECT/**/name/**/FROM/**/person", ALL, "comment_trick"),
    ("SELECT name /*! , password */ FROM person", ALL, "comment_trick"),
    ("SELECT name FROM person /* /* x */", ("sqlite",), "comment_trick"),
    ("SELECT name FROM person /* /* x */", ("duckdb",), "comment_trick unreadable"),
    ("SELECT name FROM person /* x /* y */ z */", ("postgres",), "comment_trick"),
    ("SELECT name FROM person -- ; DROP TABLE person", ALL, "comment_trick"),
    ("SELECT name FROM person -- a\rUNION SELECT 1", ALL, "comment_trick"),
    ("SELECT SLEEP(5)", ("mariadb",), "delay"),
    ("SELECT IF(1 = 1, BENCHMARK(90000000, MD5('a')), 0)", ("mariadb",), "delay heavy_computation"),
    ("SELECT LOAD_FILE('/etc/passwd')", ("mariadb",), "file_access"),
    ("SELECT name FROM person INTO OUTFILE '/tmp/x'", ("mariadb",), "file_access"),
    ("SELECT GET_LOCK('a', 9)", ("mariadb",), "settings"),
    ("SELECT name FROM person INTO @a", ("mariadb",), "write settings"),
    ("SELECT user FROM mysql.user", ("mariadb",), "catalogue"),
    ("SELECT `table_name` FROM `information_schema`.`tables`", ("mariadb",), "catalogue"),
    ("SELECT @a := 1", ("mariadb",), "settings"),
    ("SELECT @@datadir", ("mariadb",), "settings"),
    ("SELECT name FROM person LOCK IN SHARE MODE", ("mariadb",), "settings"),
    ("SELECT name FROM person FOR KEY SHARE", ("postgres",), "settings"),
    ('SELECT U&"\\0070g_sleep"(9)', ("postgres",), "unreadable"),
    ("SELECT E'a' '\\'' , pg_sleep(9) --'", ("postgres",), "unreadable"),
    ("SELECT 'a\0b'", ALL, "unreadable"),
    ("SELECT " + "1," * 60_000 + "1", ALL, "unreadable"),
]
TABLES: list[tuple[str, Engine, set[str]]] = [
    ("SELECT * FROM person", "sqlite", {"person"}),
    ('SELECT * FROM "Person" JOIN main.Branch USING (id)', "sqlite", {"person", "main.branch"}),
    ("WITH person AS (SELECT 1 AS a) SELECT a FROM person", "sqlite", set()),
    ("WITH person AS (SELECT * FROM salary) SELECT * FROM person", "postgres", {"salary"}),
    ("SELECT (SELECT max(a) FROM salary) FROM person WHERE EXISTS (SELECT 1 FROM branch)", "duckdb",
     {"salary", "person", "branch"}),
    ("FROM person", "duckdb", {"person"}),
    ("TABLE person", "postgres", {"person"}),
    ("SELECT 1 FROM a UNION SELECT 2 FROM b EXCEPT SELECT 3 FROM c", "sqlite", {"a", "b", "c"}),
]  # fmt: skip


@pytest.mark.parametrize("engine", ALL)
@pytest.mark.parametrize("sql", PLAIN)
def test_a_plain_read_has_no_flag(sql: str, engine: Engine) -> None:
    assert scan(sql, engine) == set()


@pytest.mark.parametrize(
    ("sql", "engine", "flags"),
    [(sql, engine, flags) for sql, engines, flags in FLAGGED for engine in engines],
)
def test_what_is_flagged(sql: str, engine: Engine, flags: str) -> None:
    assert scan(sql, engine) == set(map(Flag, flags.split()))


@pytest.mark.parametrize(("sql", "engine", "expected"), TABLES)
def test_the_tables_of_a_text(sql: str, engine: Engine, expected: set[str]) -> None:
    assert tables(sql, engine) == expected


@pytest.mark.parametrize("engine", ALL)
def test_every_exploit_that_must_be_refused_is_flagged(engine: Engine) -> None:
    target = Target("SELECT name FROM member", "member", "name", "'x'", "members", "/tmp/x")
    for exploit in load(engine):
        if exploit.reasons == {Reason.FORBIDDEN_STATEMENT}:
            sql = extract(exploit.completion(target))[: MAX_CHARACTERS + 1]
            assert scan(sql, engine), (exploit.name, sql[:200])


def test_no_published_gold_is_flagged(data: Path) -> None:
    spider = [row["query"] for row in json.loads((data / "spider" / "dev_exec.json").read_text())]
    bird = [row["SQL"] for row in json.loads((data / "bird" / "dev.json").read_text())]
    for sql in (*spider, *bird):
        assert scan(sql, "sqlite") == set() and tables(sql, "sqlite"), sql


def test_every_flag_of_the_text_has_a_case() -> None:
    named = {Flag(flag) for _, _, flags in FLAGGED for flag in flags.split()}
    assert named == set(Flag) - {Flag.TABLE, Flag.PRIVATE, Flag.REFUSED}
