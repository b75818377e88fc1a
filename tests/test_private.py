"""Private tables and columns: what no query reads, on copies of files, and what the copies hold."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pytest
from clinic import AMOUNT, PRIVATE, SECRET, STATUS, TRICKS, build

from tasks.common.errors import SpecError
from tasks.databases.private.copies import without_private
from tasks.databases.private.names import Pattern, hidden_in, mentions, patterns
from tasks.databases.private.reads import opened
from tasks.databases.sandbox.executor import Executor
from tasks.databases.schema import describe
from tasks.databases.state import database_digest
from tasks.databases.values import find_values
from tasks.types import Database, Engine, Limits

FILES: tuple[Engine, ...] = ("sqlite", "duckdb")


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[Engine, Database]:
    folder = tmp_path_factory.mktemp("clinic")
    return {
        engine: without_private(build(engine, folder / "source"), PRIVATE, folder / "public")
        for engine in FILES
    }


@pytest.fixture(scope="module")
def executor() -> Executor:
    return Executor(Limits(seconds=5))


@pytest.mark.parametrize(
    ("engine", "sql", "status"),
    [
        (engine, sql, STATUS[expected[place]])
        for sql, expected in TRICKS
        for place, engine in enumerate(FILES)
        if expected[place] != "-"
    ],
)
def test_how_a_query_ends(
    copies: dict[Engine, Database], executor: Executor, engine: Engine, sql: str, status: str
) -> None:
    outcome = executor.run(copies[engine], 0, sql)
    assert outcome.status.value == status, outcome
    shown = repr((outcome.columns, outcome.rows, outcome.message))
    assert SECRET not in shown.replace(sql, "") and str(AMOUNT) not in shown


@pytest.mark.parametrize("engine", FILES)
def test_a_query_is_known_without_running_it(
    copies: dict[Engine, Database], executor: Executor, engine: Engine
) -> None:
    executor.close()  # DuckDB opens a file with one memory limit at a time
    place = FILES.index(engine)
    with opened(copies[engine]) as reads_private:
        for sql, expected in TRICKS:
            if expected[place] not in "-FM":
                assert reads_private(sql) == (expected[place] == "P"), sql


@pytest.mark.parametrize("engine", FILES)
def test_the_copy_holds_nothing_private(
    copies: dict[Engine, Database], executor: Executor, engine: Engine
) -> None:
    executor.close()
    database = copies[engine]
    [path] = database.instances
    content = Path(str(path)).read_bytes()
    for word in (b"SECRET", b"ssn", b"salary", b"amount"):
        assert word not in content, word
    schema = describe(database, 3)
    assert {table.name: [column.name for column in table.columns] for table in schema.tables} == {
        "branch": ["id", "city"],
        "person": ["id", "name", "branch_id"],
        "visit": ["day"],
        "named": ["id", "name"],
    } | ({"every": ["id", "name", "branch_id"]} if engine == "duckdb" else {})
    [person] = [table for table in schema.tables if table.name == "person"]
    assert person.rows == ((1, "Ann", 1), (2, "Bob", 2)) and person.columns[0].primary_key
    assert [key.other_table for key in person.foreign_keys] == ["branch"]
    assert not find_values(database, schema, f"Who has {SECRET}?")
    assert find_values(database, schema, "Is Ann here?") == {"person.name": ("Ann",)}


@pytest.mark.parametrize("engine", FILES)
def test_a_changed_source_has_a_new_copy(engine: Engine, tmp_path: Path) -> None:
    source = build(engine, tmp_path / "source")
    first = without_private(source, PRIVATE, tmp_path / "public")
    assert without_private(source, PRIVATE, tmp_path / "public") == first
    assert without_private(source, ["salary"], tmp_path / "public").instances != first.instances
    before = database_digest(first)
    assert before == database_digest(source)
    for statement in ("DELETE FROM person WHERE id = 2",):
        if engine == "duckdb":
            with duckdb.connect(str(source.instances[0])) as connection:
                connection.execute(statement)
        else:
            with sqlite3.connect(str(source.instances[0])) as file:
                file.execute(statement)
    assert database_digest(first) != before
    assert without_private(source, PRIVATE, tmp_path / "public").instances != first.instances
    assert not list((tmp_path / "public").glob("tmp*"))


def sqlite_of(statements: str, folder: Path, *private: str) -> Database:
    """A copy of a SQLite database that the statements make."""
    folder.mkdir(exist_ok=True)
    with sqlite3.connect(folder / "d.sqlite") as connection:
        connection.executescript(statements)
    return without_private(Database("d", instances=(folder / "d.sqlite",)), private, folder / "public")


def test_a_sqlite_copy_keeps_what_decides_results(tmp_path: Path, executor: Executor) -> None:
    database = sqlite_of(
        "PRAGMA encoding = 'UTF-16le';"
        "CREATE TABLE t(a TEXT COLLATE NOCASE, b INTEGER, s TEXT, w BLOB); INSERT INTO t VALUES"
        " ('x', '5', 's', x'00ff'), ('X', 'five', 's', NULL); DELETE FROM t WHERE rowid = 0;"
        "INSERT INTO t(rowid, a) VALUES (77, 'y'); CREATE INDEX i ON t(b);"
        "CREATE TABLE u(k TEXT PRIMARY KEY, v) WITHOUT ROWID; INSERT INTO u VALUES ('k', 1.5);"
        "CREATE VIRTUAL TABLE f USING fts5(text); INSERT INTO f VALUES ('words');"
        "CREATE TABLE g(a INTEGER, b AS (a * 2)); INSERT INTO g(a) VALUES (4)",
        tmp_path,
        "t.s",
    )
    for sql, rows in {
        "SELECT count(*) FROM t WHERE a = 'X'": ((2,),),
        "SELECT rowid, typeof(b), b, w FROM t": (
            (1, "integer", 5, b"\0\xff"),
            (2, "text", "five", None),
            (77, "null", None, None),
        ),
        "SELECT k, v FROM u": (("k", 1.5),),
        "SELECT a, b FROM g": ((4, 8),),
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL": (("i",),),
        "SELECT length(CAST('a' AS BLOB))": ((2,),),
    }.items():
        assert executor.run(database, 0, sql).rows == rows, sql
    assert executor.run(database, 0, "SELECT * FROM f").status.value == "private_data"


def test_the_rest_of_a_private_key_is_no_key(tmp_path: Path, executor: Executor) -> None:
    database = sqlite_of(
        "CREATE TABLE t(a, s, PRIMARY KEY (a, s)) WITHOUT ROWID; INSERT INTO t VALUES (1, 2), (1, 3)",
        tmp_path,
        "t.s",
    )
    assert executor.run(database, 0, "SELECT a FROM t").rows == ((1,), (1,))
    [table] = describe(database).tables
    assert not table.columns[0].primary_key


def test_what_names_a_private_column_is_not_copied(tmp_path: Path, executor: Executor) -> None:
    database = sqlite_of(
        "CREATE TABLE t(a, s DEFAULT 'SECRET-1' CHECK (s LIKE 'SECRET%')); INSERT INTO t(a) VALUES (1);"
        "CREATE INDEX i ON t(a) WHERE s = 'SECRET-2'; CREATE INDEX j ON t(a, lower(s));"
        "CREATE INDEX k ON t(a);"
        "CREATE TRIGGER r AFTER INSERT ON t BEGIN UPDATE t SET s = 'SECRET-3'; END;"
        "CREATE VIEW v AS SELECT a FROM t WHERE s = 'SECRET-4'; CREATE VIEW w AS SELECT a FROM t",
        tmp_path,
        "t.s",
    )
    found = executor.run(database, 0, "SELECT name FROM sqlite_master ORDER BY name")
    assert found.rows == (("k",), ("t",), ("w",))
    [path] = database.instances
    assert b"SECRET" not in Path(str(path)).read_bytes()
    for sql in (
        "SELECT a FROM v",
        "SELECT (SELECT s) FROM t",
        "SELECT a FROM t WHERE s IS s",
        "SELECT t.* FROM t",
    ):
        assert executor.run(database, 0, sql).status.value == "private_data", sql


@pytest.mark.parametrize("engine", FILES)
def test_no_statement_names_a_private_table(engine: Engine, tmp_path: Path) -> None:
    statements = (
        "CREATE TABLE secret(id INTEGER PRIMARY KEY);"
        "CREATE TABLE t(a INTEGER, b INTEGER REFERENCES secret(id), c INTEGER AS (a * 2));"
        "INSERT INTO secret VALUES (5); INSERT INTO t(a, b) VALUES (1, 5);"
    )
    path = tmp_path / f"d.{engine}"
    if engine == "duckdb":
        with duckdb.connect(str(path)) as connection:
            connection.execute(statements)
    else:
        with sqlite3.connect(path) as file:
            file.executescript(statements)
    database = without_private(Database("d", engine, (path,)), ["secret"], tmp_path / "public")
    [table] = describe(database, 1).tables
    assert "secret" not in table.ddl and table.rows == ((1, 5, 2),)


def test_a_private_row_id_is_hidden(tmp_path: Path, executor: Executor) -> None:
    database = sqlite_of(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (739, 1)", tmp_path, "t.id"
    )
    for sql in (
        "SELECT id FROM t",
        "SELECT rowid FROM t",
        "SELECT count(*) FROM t JOIN (SELECT 739 AS id) USING (id)",
    ):
        assert executor.run(database, 0, sql).status.value == "private_data", sql
    assert executor.run(database, 0, "SELECT a FROM t").rows == ((1,),)


def test_a_column_of_a_view_alone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"'v\.b' is a column of a view"):
        sqlite_of("CREATE TABLE t(a); CREATE VIEW v AS SELECT a AS b FROM t", tmp_path, "v.b")


@pytest.mark.parametrize(
    ("pattern", "hidden"),
    [
        ("t", None),
        ("T", None),
        ("t.a", {"a"}),
        ("t.A", {"a"}),
        ("t.*", None),
        ("*", None),
        ("*.a*", {"a", "a b"}),
        ("main.t.a", {"a"}),
        ("other.t.a", set()),
        ("u", set()),
        ("t?", set()),
        ("t.a b", {"a b"}),
        ("t.[a]", set()),
    ],
)
def test_patterns(pattern: str, hidden: set[str] | None) -> None:
    assert hidden_in(patterns([pattern]), "main", "T", ["a", "b", "a b"]) == hidden


@pytest.mark.parametrize("text", ["", "a.", ".a", "a.b.c.d", " "])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"write table, table\.column"):
        Pattern.parsed(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [("the SSN is", True), ("ssns", False), ("Birth date = 1", True), ("birth", False), ("", False)],
)
def test_hints_that_name_private_data(text: str, found: bool) -> None:
    assert mentions(text, {"ssn", "birth date"}) is found
