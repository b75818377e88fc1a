"""SQLite in the sandbox: the status of hostile and unusual statements, none of which leaves a trace."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from attacked import busy

from tasks.databases.engines.session import Allowance
from tasks.databases.sandbox.executor import Executor
from tasks.databases.sandbox.pool import Sandbox
from tasks.types import Database, Limits, Status

LIMITS = Limits(seconds=2, steps=20_000_000, rows=1000, cells=5000, bytes=8 * 2**20, memory=512 * 2**20)

ENDLESS = "WITH RECURSIVE x(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x)"
STATEMENTS: list[tuple[str, Status]] = [
    ("SELECT 1", Status.OK),
    ("SELECT 1;", Status.OK),
    ("SELECT 1; ; -- nothing", Status.OK),
    ("-- first\nSELECT 1 /* ; */ ; /* ; */", Status.OK),
    ("SELECT 'a;b', \"a\" FROM t -- ; DROP TABLE t", Status.OK),
    ("VALUES (1), (2)", Status.OK),
    ("WITH x AS (SELECT 1 AS a) SELECT count(*) FROM x", Status.OK),
    ("SELECT count(*) FROM (SELECT a FROM t)", Status.OK),
    ("SELECT * FROM v", Status.OK),
    ("SELECT count(*) FROM sqlite_master", Status.OK),
    ("SELECT * FROM broken", Status.OK),
    ("SELECT random()", Status.OK),
    ("", Status.NO_SQL),
    (" ;\n; ", Status.NO_SQL),
    ("-- comment", Status.NO_SQL),
    ("/* never closed", Status.NO_SQL),
    ("SELECT 1; SELECT 2", Status.MANY_STATEMENTS),
    ("SELECT 1; DROP TABLE t", Status.MANY_STATEMENTS),
    ("SELECT 1 ORDER BY 1; DELETE FROM t;", Status.MANY_STATEMENTS),
    ("DELETE FROM t", Status.FORBIDDEN_STATEMENT),
    ("WITH x AS (SELECT 1) DELETE FROM t", Status.FORBIDDEN_STATEMENT),
    ("UPDATE t SET b = 'x'", Status.FORBIDDEN_STATEMENT),
    ("INSERT INTO t VALUES (1, 'x', 1) RETURNING a", Status.FORBIDDEN_STATEMENT),
    ("REPLACE INTO t VALUES (1, 'x', 1)", Status.FORBIDDEN_STATEMENT),
    ("DROP TABLE t", Status.FORBIDDEN_STATEMENT),
    ("CREATE TABLE z(a)", Status.FORBIDDEN_STATEMENT),
    ("CREATE TEMP VIEW t AS SELECT 1 AS a", Status.FORBIDDEN_STATEMENT),
    ("CREATE TEMP TABLE t AS SELECT 1 AS a", Status.FORBIDDEN_STATEMENT),
    ("ATTACH '/tmp/x.db' AS x", Status.FORBIDDEN_STATEMENT),
    ("ATTACH ':memory:' AS x", Status.FORBIDDEN_STATEMENT),
    ("VACUUM", Status.FORBIDDEN_STATEMENT),
    ("VACUUM INTO '/tmp/harness_vacuum.db'", Status.FORBIDDEN_STATEMENT),
    ("BEGIN", Status.FORBIDDEN_STATEMENT),
    ("COMMIT", Status.FORBIDDEN_STATEMENT),
    ("SAVEPOINT s", Status.FORBIDDEN_STATEMENT),
    ("ANALYZE", Status.FORBIDDEN_STATEMENT),
    ("REINDEX", Status.FORBIDDEN_STATEMENT),
    ("EXPLAIN SELECT 1", Status.FORBIDDEN_STATEMENT),
    ("EXPLAIN QUERY PLAN SELECT * FROM t", Status.FORBIDDEN_STATEMENT),
    ("PRAGMA table_info(t)", Status.FORBIDDEN_STATEMENT),
    ("PRAGMA hard_heap_limit = 1", Status.FORBIDDEN_STATEMENT),
    ("PRAGMA writable_schema = ON", Status.FORBIDDEN_STATEMENT),
    ("SELECT * FROM pragma_hard_heap_limit(1)", Status.FORBIDDEN_STATEMENT),
    ("SELECT * FROM pragma_table_info('t')", Status.FORBIDDEN_STATEMENT),
    ("SELECT sql FROM sqlite_stmt", Status.FORBIDDEN_STATEMENT),
    ("SELECT * FROM dbstat", Status.FORBIDDEN_STATEMENT),
    ("SELECT * FROM sqlite_temp_master", Status.FORBIDDEN_STATEMENT),
    ("SELECT load_extension('x.so')", Status.FORBIDDEN_STATEMENT),
    ("SELECT fts3_tokenizer('simple')", Status.FORBIDDEN_STATEMENT),
    ("SELECT nope FROM t", Status.EXECUTION_ERROR),
    ("SELECT * FROM nope", Status.EXECUTION_ERROR),
    ("SELECT nope(1)", Status.EXECUTION_ERROR),
    ("SELECT ?", Status.EXECUTION_ERROR),
    ("SELECT abs(-9223372036854775808)", Status.EXECUTION_ERROR),
    ("SELECT sum(9223372036854775807) FROM t", Status.EXECUTION_ERROR),
    ("SELECT " + ",".join(["1"] * 3000), Status.EXECUTION_ERROR),
    ("SELECT 1 UNION ALL " * 600 + "SELECT 1", Status.EXECUTION_ERROR),
    ('SELECT [near "x": syntax error] FROM t', Status.EXECUTION_ERROR),
    ("SELEC 1", Status.SYNTAX_ERROR),
    ("SELECT", Status.SYNTAX_ERROR),
    ("SELECT 'never closed", Status.SYNTAX_ERROR),
    ("SELECT * FROM t WHERE", Status.SYNTAX_ERROR),
    ("Here is the query you asked for: SELECT 1", Status.SYNTAX_ERROR),
    ("```sql\nSELECT 1\n```", Status.SYNTAX_ERROR),
    ("SELECT 'a\0b'", Status.SYNTAX_ERROR),
    ("\0", Status.SYNTAX_ERROR),
    ("SELECT '\udc80'", Status.SYNTAX_ERROR),
    ("SELECT " + "(" * 100_000 + "1" + ")" * 100_000, Status.SYNTAX_ERROR),
    ("SELECT " + "+".join(["1"] * 100_000), Status.SYNTAX_ERROR),
    ("SELECT '" + "x" * 10_000_000 + "'", Status.SYNTAX_ERROR),
    (f"{ENDLESS} SELECT count(*) FROM x", Status.TIMEOUT),
    ("SELECT count(*) FROM t a, t b, t c, t d", Status.TIMEOUT),
    ("SELECT instr(zeroblob(1000000), zeroblob(500000) || x'01')", Status.TIMEOUT),
    (f"{ENDLESS} SELECT a FROM x", Status.TOO_MANY_ROWS),
    ("SELECT * FROM t a, t b", Status.TOO_MANY_ROWS),
    ("SELECT a.*, b.*, c.* FROM t a, t b, t c LIMIT 900", Status.TOO_MANY_ROWS),
    ("SELECT zeroblob(2000000000)", Status.MEMORY),
    ("SELECT randomblob(1000000) FROM t", Status.MEMORY),
    ("SELECT hex(zeroblob(100000000))", Status.MEMORY),
    ("SELECT replace(hex(zeroblob(9000)), '0', hex(zeroblob(9000)))", Status.MEMORY),
    ("SELECT group_concat(hex(zeroblob(100000))) FROM t", Status.MEMORY),
    ("SELECT value FROM json_each('[1, 2]') WHERE key > (SELECT MIN(a) FROM t) - 9", Status.OK),
    ("SELECT a.atom FROM json_tree('{\"k\": [1, 2]}') AS a, t LIMIT 3", Status.OK),
    (
        "SELECT count(*) FROM json_each('[' || replace(hex(zeroblob(90000)), '0', '1,') || '1]'), t",
        Status.TIMEOUT,
    ),
    ("SELECT * FROM generate_series(1, 9)", Status.EXECUTION_ERROR),
]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("hostile") / "hostile #1?.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT, c REAL);"
        "CREATE VIEW v AS SELECT a, b FROM t WHERE a < 9;"
        "CREATE TABLE broken(b); INSERT INTO broken VALUES (CAST(x'ff41fe' AS TEXT));"
    )
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, f"b{i}", i / 3) for i in range(800)])
    connection.commit()
    connection.close()
    return Database("hostile", instances=(path,))


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
    honest = "SELECT count(*), max(b), (SELECT count(*) FROM sqlite_master) FROM t"
    hostile, after = sandbox.run([(database, 0, sql), (database, 0, honest)])
    assert hostile.status is status, hostile.message
    assert hostile.ok == bool(hostile.rows)
    assert hostile.seconds < LIMITS.seconds + 1 or busy()
    assert after.rows == ((800, "b99", 3),)
    assert (hashlib.sha256(path.read_bytes()).hexdigest(), sorted(path.parent.iterdir())) == before


def test_a_sort_that_fits_no_memory_is_refused_and_spills_nothing(database: Database) -> None:
    bomb = f"{ENDLESS} SELECT max(b) FROM (SELECT randomblob(900000) AS b FROM x ORDER BY b)"
    with Sandbox(1, Limits(seconds=60, memory=LIMITS.memory)) as patient:
        hostile, after = patient.run([(database, 0, bomb), (database, 0, "SELECT count(*) FROM t")])
    assert hostile.status is Status.MEMORY
    assert after.rows == ((800,),)


def test_cells_are_plain_and_text_that_is_not_utf8_is_lossless(database: Database) -> None:
    executor = Executor(LIMITS)
    outcome = executor.run(database, 0, "SELECT 9007199254740993, -0.0, 1e999, NULL, x'00ff', 'é' AS é")
    assert outcome.rows == ((9007199254740993, -0.0, float("inf"), None, b"\x00\xff", "é"),)
    assert outcome.columns[-1] == "é"
    (broken,) = executor.run(database, 0, "SELECT b, 'A', b FROM broken").rows
    assert broken[0].encode(errors="surrogateescape") == b"\xffA\xfe"
    assert broken[0].encode(errors="ignore").decode() == b"\xffA\xfe".decode(errors="ignore") == "A"
    assert executor.run(database, 0, "SELECT b FROM t LIMIT 1").rows == (("b0",),)


def test_steps_are_the_same_every_time(database: Database) -> None:
    executor = Executor(LIMITS)
    sql = "SELECT count(*) FROM t a JOIN t b ON a.b < b.b"
    first = executor.run(database, 0, sql)
    executor.run(database, 0, "SELECT * FROM t")
    assert first.steps > 100_000
    assert {executor.run(database, 0, sql).steps for _ in range(5)} == {first.steps}


def test_limits_refuse_and_never_cut(database: Database) -> None:
    executor = Executor(Limits(rows=800, cells=2400))
    assert len(executor.run(database, 0, "SELECT * FROM t").rows) == 800
    refused = executor.run(database, 0, "SELECT * FROM t UNION ALL SELECT 1, 2, 3")
    assert refused.status is Status.TOO_MANY_ROWS
    assert refused.rows == ()


def test_a_database_that_is_missing_or_corrupt_is_our_failure(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"not a database" * 100)
    cut = tmp_path / "cut.sqlite"
    connection = sqlite3.connect(cut)
    connection.execute(
        "CREATE TABLE t AS WITH x(a) AS (VALUES(1) UNION ALL SELECT a+1 FROM x LIMIT 9999) SELECT * FROM x"
    )
    connection.commit()
    connection.close()
    cut.write_bytes(cut.read_bytes()[:9000])
    executor = Executor(LIMITS)
    for path in (tmp_path / "none.sqlite", garbage, cut):
        outcome = executor.run(Database("x", instances=(path,)), 0, "SELECT count(*) FROM t")
        assert outcome.status is Status.INFRASTRUCTURE, path
        assert outcome.message and "\n" not in outcome.message
    assert not (tmp_path / "none.sqlite").exists()


def test_a_database_can_be_built_from_ddl() -> None:
    ddl = "PRAGMA foreign_keys = ON; CREATE TABLE t(a); INSERT INTO t VALUES (1), (2);"
    executor = Executor(LIMITS)
    assert executor.run(Database("d", ddl=ddl), 0, "SELECT sum(a) FROM t").rows == ((3,),)
    refused = executor.run(Database("d", ddl="ATTACH '/tmp/x.db' AS x"), 0, "SELECT 1")
    assert refused.status is Status.INFRASTRUCTURE


def test_changes_in_a_write_ahead_log_are_read(tmp_path: Path) -> None:
    """The writer is running and has not checkpointed: the file has one row, the log three."""
    path = tmp_path / "log #1?.sqlite"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.executescript("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 'x'); PRAGMA journal_mode = WAL")
    writer.executescript(
        "PRAGMA wal_autocheckpoint = 0; INSERT INTO t VALUES (2, 'y');"
        "BEGIN; INSERT INTO t SELECT 3, hex(zeroblob(20000)); COMMIT; BEGIN; INSERT INTO t VALUES (4, 'open')"
    )
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    database = Database("log", instances=(path,))
    with Sandbox(1, LIMITS) as sandbox:
        (outcome,) = sandbox.run([(database, 0, "SELECT a, length(b) FROM t")])
    assert outcome.rows == ((1, 1), (2, 1), (3, 40000))
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    log = path.with_name(path.name + "-wal")
    whole = log.read_bytes()
    log.write_bytes(whole[:-100])
    assert Executor(LIMITS).run(database, 0, "SELECT max(a) FROM t").rows == ((2,),)
    log.write_bytes(whole[:200] + b"?" + whole[201:])
    assert Executor(LIMITS).run(database, 0, "SELECT max(a) FROM t").rows == ((1,),)
    writer.close()


def test_a_checkpointed_log_and_an_inactive_journal_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t(a); INSERT INTO t VALUES (1)")
    writer.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    writer.execute("INSERT INTO t VALUES (2)")
    database = Database("a", instances=(path,))
    assert Executor(LIMITS).run(database, 0, "SELECT count(*) FROM t").rows == ((2,),)
    writer.close()
    path.with_name("a.sqlite-journal").write_bytes(bytes(512))
    assert Executor(LIMITS).run(database, 0, "SELECT count(*) FROM t").rows == ((2,),)


def test_an_unfinished_transaction_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "hot.sqlite"
    writer = sqlite3.connect(path, isolation_level=None)
    writer.executescript("CREATE TABLE t(a); PRAGMA cache_size = 1; BEGIN")
    writer.execute(f"INSERT INTO t {ENDLESS} SELECT a FROM x LIMIT 9999")
    database = Database("hot", instances=(path,))
    outcome = Executor(LIMITS).run(database, 0, "SELECT count(*) FROM t")
    assert outcome.status is Status.INFRASTRUCTURE
    assert "hot.sqlite-journal holds an unfinished transaction" in outcome.message
    writer.execute("ROLLBACK")
    writer.close()
    assert Executor(LIMITS).run(database, 0, "SELECT count(*) FROM t").rows == ((0,),)


READ = [
    ("SELECT x FROM parsed", ((5,), (7,))),
    ("SELECT value FROM parts WHERE a = 2", ((1,), (2,))),
    ("SELECT x FROM nested", ((7,),)),
    ("SELECT g FROM t", ((5,), (7,))),
    ("SELECT a FROM t WHERE json_extract(j, '$.x') = 7", ((2,),)),
    ("SELECT title FROM docs WHERE docs MATCH 'fox'", (("one",),)),
    ("SELECT title FROM docs('dog') ORDER BY bm25(docs)", (("two",),)),
    ("SELECT highlight(docs, 1, '<', '>') FROM docs WHERE docs MATCH 'fox'", (("the quick <fox>",),)),
    ("SELECT snippet(docs, 1, '', '', '.', 1) FROM docs('quick')", ((".quick.",),)),
    ("SELECT s FROM found", (("one",),)),
    ("SELECT doc FROM words WHERE term = 'fox'", ((1,),)),
    ("SELECT offsets(old) FROM old WHERE old MATCH 'b'", (("0 0 2 1",),)),
    ("SELECT id FROM box WHERE low >= 5", ((2,),)),
    ("SELECT count(*) FROM docs_content", ((2,),)),
]
REFUSED = [
    ("SELECT * FROM vec", Status.EXECUTION_ERROR),
    ("SELECT * FROM lost", Status.EXECUTION_ERROR),
    ("SELECT fts5(1)", Status.FORBIDDEN_STATEMENT),
    ("SELECT optimize(old) FROM old", Status.FORBIDDEN_STATEMENT),
    ("INSERT INTO docs(docs) VALUES ('rebuild')", Status.FORBIDDEN_STATEMENT),
    ("SELECT * FROM evil", Status.EXECUTION_ERROR),
]


@pytest.fixture(scope="module")
def special(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("special") / "special.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE t(a, j TEXT, g AS (json_extract(j, '$.x')));"
        'INSERT INTO t VALUES (1, \'{"x": 5}\'), (2, \'{"x": 7, "y": [1, 2]}\');'
        "CREATE INDEX i ON t(json_extract(j, '$.x')) WHERE lower(j) != '';"
        "CREATE VIEW parsed AS SELECT a, json_extract(j, '$.x') AS x FROM t;"
        "CREATE VIEW parts AS SELECT t.a, e.value FROM t, json_each(t.j, '$.y') AS e;"
        "CREATE VIEW nested AS SELECT x FROM parsed WHERE x > (SELECT count(*) FROM parts) + 3;"
        "CREATE VIRTUAL TABLE docs USING fts5(title, body);"
        "INSERT INTO docs VALUES ('one', 'the quick fox'), ('two', 'dog');"
        "CREATE VIEW found AS SELECT title AS s FROM docs WHERE docs MATCH 'fox';"
        "CREATE VIRTUAL TABLE words USING fts5vocab(docs, row);"
        "CREATE VIRTUAL TABLE old USING fts4(x); INSERT INTO old VALUES ('a b');"
        "CREATE VIRTUAL TABLE box USING rtree(id, low, high); INSERT INTO box VALUES (1, 0, 1), (2, 5, 6);"
        "CREATE VIEW lost AS SELECT * FROM missing;"
        "CREATE VIEW evil AS SELECT load_extension('x');"
    )
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "INSERT INTO sqlite_master(type, name, tbl_name, rootpage, sql)"
        " VALUES ('table', 'vec', 'vec', 0, 'CREATE VIRTUAL TABLE vec USING vec0(e float[4])')"
    )
    connection.commit()
    connection.close()
    return Database("special", instances=(path,))


@pytest.mark.parametrize(("sql", "rows"), READ, ids=[sql for sql, _ in READ])
def test_views_and_virtual_tables_are_read(special: Database, sql: str, rows: object) -> None:
    outcome = Executor(LIMITS).run(special, 0, sql)
    assert outcome.rows == rows, outcome.message


@pytest.mark.parametrize(("sql", "status"), REFUSED, ids=[sql for sql, _ in REFUSED])
def test_an_unreadable_table_fails_only_its_own_queries(special: Database, sql: str, status: Status) -> None:
    executor = Executor(LIMITS)
    assert executor.run(special, 0, sql).status is status
    assert executor.run(special, 0, "SELECT count(*) FROM parsed").rows == ((2,),)


def test_limits_count_rows_after_duplicates_are_removed() -> None:
    executor = Executor(Limits(rows=1000))
    sql = "SELECT b.x % 3, NULL FROM n AS a, n AS b ORDER BY b.x"
    ddl = f"CREATE TABLE n(x); INSERT INTO n {ENDLESS} SELECT a FROM x LIMIT 300"
    database = Database("n", ddl=ddl)
    assert executor.run(database, 0, sql).status is Status.TOO_MANY_ROWS
    sets = executor.run(database, 0, sql, Allowance(30, 10**8, distinct=True))
    assert sets.rows == ((1, None), (2, None), (0, None))


def test_a_cut_or_damaged_log_is_read_as_sqlite_reads_it(tmp_path: Path) -> None:
    random = Random(3)
    sql = "SELECT a, count(*), sum(length(b)) FROM t GROUP BY a"
    for number in range(25):
        source, copy = tmp_path / f"{number}.sqlite", tmp_path / f"{number}-copy.sqlite"
        writer = sqlite3.connect(source, isolation_level=None)
        writer.executescript("CREATE TABLE t(a, b); PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0")
        for change in range(random.randint(1, 10)):
            rows = [(change, "x" * random.randint(0, 900)) for _ in range(random.randint(1, 30))]
            writer.execute("BEGIN")
            writer.executemany("INSERT INTO t VALUES (?, ?)", rows)
            writer.execute("DELETE FROM t WHERE a < ?", [change - random.randint(2, 9)])
            writer.execute("COMMIT")
            if random.random() < 0.2:
                writer.execute(f"PRAGMA wal_checkpoint({random.choice(['PASSIVE', 'RESTART'])})").fetchall()
        log = source.with_name(source.name + "-wal").read_bytes()
        place = random.randrange(len(log) or 1)
        damaged = log[:place] + (b"" if number % 2 else bytes([log[place] ^ 1]) + log[place + 1 :])
        copy.write_bytes(source.read_bytes())
        copy.with_name(copy.name + "-wal").write_bytes(damaged)
        writer.close()
        outcome = Executor(LIMITS).run(Database("t", instances=(copy,)), 0, sql)
        reader = sqlite3.connect(copy)
        try:
            assert outcome.rows == tuple(reader.execute(sql))
        except sqlite3.Error:
            assert not outcome.ok
        reader.close()
