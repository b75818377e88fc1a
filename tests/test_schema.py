"""Descriptions of databases, and the values that are found in a question."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import duckdb
import pytest

from tasks.common.errors import DataError
from tasks.databases.sandbox.executor import Executor
from tasks.databases.schema import describe
from tasks.databases.sql_text import split
from tasks.databases.state import database_digest
from tasks.databases.values import find_values
from tasks.prompts import render_schema
from tasks.spec import SchemaSpec
from tasks.types import Column, Database, Engine, ForeignKey, Limits, Schema, Table

DDL = """
PRAGMA foreign_keys = ON;
CREATE TABLE branch("branch id" INTEGER PRIMARY KEY, city TEXT NOT NULL);
CREATE TABLE member(
  id INTEGER, no INTEGER, name VARCHAR(20), home INTEGER REFERENCES BRANCH,
  PRIMARY KEY (no, id));
CREATE TABLE visit(
  member_id INTEGER, member_no INTEGER, branch INTEGER, score AS (member_id * 2),
  FOREIGN KEY (member_no, member_id) REFERENCES member,
  FOREIGN KEY (branch) REFERENCES branch("branch id"),
  FOREIGN KEY (branch) REFERENCES gone(id));
CREATE VIEW v AS SELECT 1;
INSERT INTO branch VALUES (1, 'New York'), (2, 'York'), (3, 'St. Mary''s'), (4, CAST(x'ff41' AS TEXT));
INSERT INTO member VALUES (1, 1, 'Ann', 1), (1, 2, 'the', 2), (2, 1, 'X', 3);
"""


@pytest.fixture
def database(tmp_path: Path) -> Database:
    path = tmp_path / "club.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(DDL)
    connection.close()
    return Database("club", instances=(path,))


def test_tables_columns_and_keys(database: Database) -> None:
    branch, member, visit, view = describe(database).tables
    assert [branch.name, member.name, visit.name, view.name] == ["branch", "member", "visit", "v"]
    assert [(c.name, c.type, c.primary_key, c.not_null) for c in branch.columns] == [
        ("branch id", "INTEGER", True, False),
        ("city", "TEXT", False, True),
    ]
    assert [c.primary_key for c in member.columns] == [True, True, False, False]
    assert member.foreign_keys == (ForeignKey("home", "branch", "branch id"),)
    assert visit.foreign_keys == (
        ForeignKey("member_no", "member", "no"),
        ForeignKey("member_id", "member", "id"),
        ForeignKey("branch", "branch", "branch id"),
    )
    assert [c.name for c in visit.columns] == ["member_id", "member_no", "branch", "score"]
    assert branch.ddl.startswith('CREATE TABLE branch("branch id"')


def test_rows_are_read_only_on_request(database: Database) -> None:
    assert describe(database).tables[0].rows == ()
    assert describe(database, rows=2).tables[0].rows == ((1, "New York"), (2, "York"))
    assert describe(database, rows=9).tables[0].rows[3] == (4, "\ufffdA")


def test_ddl_alone_gives_the_same_schema() -> None:
    assert describe(Database("d", ddl=DDL)).tables[1].foreign_keys == (
        ForeignKey("home", "branch", "branch id"),
    )


def test_values_that_occur_in_the_question(database: Database) -> None:
    schema = describe(database)
    question = "How many members named ann from NEW YORK visited St Mary's, and the X?"
    assert find_values(database, schema, question) == {
        "branch.city": ("St. Mary's", "New York", "York"),
        "member.name": ("Ann",),
    }
    assert find_values(database, schema, question, per_column=1)["branch.city"] == ("St. Mary's",)
    assert find_values(database, schema, "") == {}


def test_a_changed_file_is_read_again(database: Database) -> None:
    path = database.instances[0]
    assert len(describe(database).tables) == 4
    before = database_digest(database)
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE more(a TEXT)")
        connection.execute("INSERT INTO more VALUES ('zebra')")
    connection.close()
    os.utime(path, ns=(1, 1))
    assert len(describe(database).tables) == 5
    assert database_digest(database) != before
    assert find_values(database, describe(database), "a zebra") == {"more.a": ("zebra",)}


def test_broken_databases_are_named_in_one_line(tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"garbage" * 1000)
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    missing = tmp_path / "missing.sqlite"
    for path, engine in [(garbage, "sqlite"), (missing, "sqlite"), (garbage, "duckdb"), (missing, "duckdb")]:
        with pytest.raises(DataError) as caught:
            describe(Database("x", engine, (path,)))  # type: ignore[arg-type]
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="database d: its DDL does not run"):
        describe(Database("d", ddl="CREATE TABEL t(a)"))
    with pytest.raises(DataError, match=r"missing\.sqlite"):
        database_digest(Database("x", instances=(missing,)))
    assert describe(Database("x", instances=(empty,))).tables == ()


def test_duckdb(tmp_path: Path) -> None:
    path = tmp_path / "club.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE branch(id INTEGER PRIMARY KEY, city TEXT NOT NULL, since DATE)")
        connection.execute("CREATE TABLE member(name TEXT, home INTEGER REFERENCES branch(id))")
        connection.execute("INSERT INTO branch VALUES (1, 'New York', DATE '2020-01-02')")
    database = Database("club", "duckdb", (path,))
    branch, member = describe(database, rows=1).tables
    assert [(c.name, c.type, c.primary_key, c.not_null) for c in branch.columns] == [
        ("id", "INTEGER", True, True),
        ("city", "VARCHAR", False, True),
        ("since", "DATE", False, False),
    ]
    assert member.foreign_keys == (ForeignKey("home", "branch", "id"),)
    assert branch.rows == ((1, "New York", "2020-01-02"),)
    assert find_values(database, describe(database), "in new york") == {"branch.city": ("New York",)}


def test_every_spider_database_can_be_described() -> None:
    if "HARNESS_DATA" not in os.environ:
        pytest.skip("HARNESS_DATA is not set: no Spider databases")
    paths = sorted(Path(os.environ["HARNESS_DATA"], "spider/database").glob("*/*.sqlite"))
    schemas = [describe(Database(path.stem, instances=(path,)), rows=2) for path in paths]
    assert len(schemas) == 163
    assert all(schema.tables for schema in schemas)


SPECIAL = """
CREATE TABLE t(a INTEGER PRIMARY KEY, j TEXT);
INSERT INTO t VALUES (1, '{"x": 5}'), (2, '{"x": 7}');
CREATE VIEW parsed AS SELECT a, json_extract(j, '$.x') AS x FROM t;
CREATE VIEW gone AS SELECT * FROM missing;
CREATE VIRTUAL TABLE docs USING fts5(title, body);
INSERT INTO docs VALUES ('one', 'the quick fox');
CREATE VIRTUAL TABLE box USING rtree(id, low, high);
CREATE TABLE vec_chunks(id);
CREATE TABLE vec_archive(id);
"""


@pytest.fixture
def special(tmp_path: Path) -> Database:
    path = tmp_path / "special.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SPECIAL)
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "INSERT INTO sqlite_master(type, name, tbl_name, rootpage, sql)"
        " VALUES ('table', 'vec', 'vec', 0, 'CREATE VIRTUAL TABLE vec USING vec0(e float[4])')"
    )
    connection.commit()
    connection.close()
    return Database("special", instances=(path,))


def test_views_and_virtual_tables_are_described_and_their_internal_tables_are_not(special: Database) -> None:
    tables = describe(special, rows=1).tables
    assert [(table.name, table.kind) for table in tables] == [
        ("t", "table"),
        ("docs", "virtual"),
        ("box", "virtual"),
        ("vec_archive", "table"),
        ("parsed", "view"),
    ]
    assert [column.name for column in tables[1].columns] == ["title", "body"]
    assert tables[1].rows == (("one", "the quick fox"),)
    assert [column.name for column in tables[-1].columns] == ["a", "x"]
    assert tables[-1].ddl.startswith("CREATE VIEW parsed")
    assert render_schema(SchemaSpec(), describe(special)).splitlines()[-1].startswith("parsed(a")


def test_a_column_whose_name_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE t(caf_ TEXT, b INT); INSERT INTO t VALUES ('x', 1), ('ab', 2)")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute(
        "UPDATE sqlite_master SET sql = CAST(replace(CAST(sql AS BLOB), CAST('_' AS BLOB), x'e9') AS TEXT)"
    )
    connection.commit()
    connection.close()
    database = Database("latin", instances=(path,))
    schema = describe(database, rows=2)
    assert [column.name for column in schema.tables[0].columns] == ["café", "b"]
    assert schema.tables[0].rows == (("x", 1), ("ab", 2))
    executor = Executor(Limits())
    assert executor.run(database, 0, "SELECT * FROM t ORDER BY b DESC -- all").rows == (("ab", 2), ("x", 1))
    assert executor.run(database, 0, "SELECT b FROM t").rows == ((1,), (2,))
    assert executor.run(database, 0, "SELECT café FROM t WHERE b = 1").rows == (("x",),)
    assert find_values(database, schema, "the ab") == {"t.café": ("ab",)}


def test_duckdb_schemas_and_views(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE SCHEMA sales; CREATE TABLE main.plain(a INT)")
        connection.execute("CREATE TABLE sales.buyer(id INT PRIMARY KEY, name TEXT)")
        connection.execute('CREATE TABLE sales."order"(buyer INT REFERENCES sales.buyer(id))')
        connection.execute("INSERT INTO sales.buyer VALUES (1, 'Ann Lee')")
        connection.execute("CREATE VIEW sales.names AS SELECT name FROM sales.buyer")
    database = Database("shop", "duckdb", (path,))
    schema = describe(database, rows=1)
    assert render_schema(SchemaSpec(), schema).splitlines() == [
        "plain(a integer)",
        "sales.buyer(id integer pk, name varchar)",
        'sales."order"(buyer integer -> sales.buyer.id)',
        "sales.names(name varchar)",
    ]
    assert schema.tables[1].rows == ((1, "Ann Lee"),)
    assert find_values(database, schema, "who is Ann Lee") == {"sales.buyer.name": ("Ann Lee",)}


def test_duckdb_prompts_show_what_scoring_reads_and_the_text_of_intervals() -> None:
    values = "DATE 'infinity' AS d, TIMESTAMP '-infinity' AS t, INTERVAL 1 MONTH AS i, [DATE 'infinity'] AS l"
    database = Database("ends", "duckdb", ddl=f"CREATE TABLE t AS SELECT {values}, 'Ok'::ENUM('Ok') AS e")
    [table] = describe(database, rows=2).tables
    [scored] = Executor(Limits()).run(database, 0, "SELECT d, t, CAST(i AS VARCHAR), l, e FROM t").rows
    assert table.rows == (scored,) == (("infinity", "-infinity", "1 month", ("list", "infinity"), "Ok"),)
    assert "e enum('Ok')" in render_schema(SchemaSpec(), describe(database))


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_statement_of_a_schema_ends_in_one_semicolon(engine: Engine) -> None:
    ddl = "CREATE TABLE t(a INT); CREATE VIEW v AS SELECT ';' AS b -- a;\n;"
    whole = render_schema(SchemaSpec(format="ddl"), describe(Database("one", engine, ddl=ddl)))
    assert len(whole.split("\n\n")) == 2
    for statement in whole.split("\n\n"):
        assert statement.endswith(";") and split(statement) == [statement[:-1]]


def test_names_and_texts_in_quotes_within_a_type_keep_their_case() -> None:
    kinds = [
        ("NUMERIC(9)", "numeric(9)"),
        ('S."Pos ""I"[]', 's."Pos ""I"[]'),
        ("ENUM('It''S')", "enum('It''S')"),
    ]
    for kind, shown in kinds:
        assert render_schema(SchemaSpec(), Schema((Table("t", (Column("a", kind),)),))) == f"t(a {shown})"
