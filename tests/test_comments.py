"""Comments on tables and columns are found where databases keep them, and shown where the task asks."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pytest

from tasks.databases.comments import ddl_comments, with_comments
from tasks.databases.schema import describe
from tasks.prompts import render_schema
from tasks.spec import SchemaSpec
from tasks.types import Database

LONG = """CREATE TABLE "t" ( -- all the things
  a INTEGER, -- first
  -- before b
  "b c" TEXT /* inline */ DEFAULT '--x', -- after
  /* block
     for c */
  c DECIMAL(3, 2) CHECK (c > 1) -- last
  , d INT -- dee
  , [e] INT -- ee
)"""


@pytest.mark.parametrize(
    ("ddl", "comments"),
    [
        (
            LONG,
            {
                "": "all the things", "a": "first", "b c": "before b inline after", "c": "block for c last",
                "d": "dee", "e": "ee",
            },
        ),
        ("CREATE TABLE x (a INT -- aa\n, b INT -- bb\n)", {"a": "aa", "b": "bb"}),
        ("/* top */ CREATE TABLE x (\n-- of a\na INT,\nB INT)", {"": "top", "a": "of a"}),
        ("CREATE TABLE x (a INT, b TEXT DEFAULT '-- no')", {}),
        ("CREATE TABLE x (`a` INT /* one */, b INT /* two */)", {"a": "one", "b": "two"}),
        ("CREATE TABLE x (a INT -- unclosed", {"a": "unclosed"}),
    ],
)  # fmt: skip
def test_comments_in_ddl(ddl: str, comments: dict[str, str]) -> None:
    assert ddl_comments(ddl) == comments


@pytest.fixture
def heroes(tmp_path: Path) -> Database:
    """A database with comments in its DDL and descriptions in BIRD's format beside it."""
    path = tmp_path / "heroes.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE Hero (\n id INTEGER PRIMARY KEY, -- number of the hero\n full_name TEXT, ht INT);"
            "CREATE TABLE plain (a INT);"
        )
    connection.close()
    folder = tmp_path / "database_description"
    folder.mkdir()
    (folder / "hero.csv").write_bytes(
        "\ufefforiginal_column_name,column_name,column_description,data_format,value_description\n"
        'full_name,full name,the full name,text,"evidence:\nMr. X"\n'
        "HT ,height,height in cm.,integer,\n".encode()
    )
    (folder / "plain.csv").write_bytes(b"original_column_name,column_description\na,caf\xe9\n")
    return Database("heroes", instances=(path,))


def test_descriptions_beside_a_database(heroes: Database) -> None:
    schema = with_comments(heroes, describe(heroes))
    hero, plain = schema.tables
    assert [column.comment for column in hero.columns] == [
        "number of the hero", "the full name. evidence: Mr. X", "height. height in cm",
    ]  # fmt: skip
    assert plain.columns[0].comment == "café"
    assert render_schema(SchemaSpec(comments=True), schema).splitlines() == [
        '"Hero"(id integer pk, full_name text, ht int)',
        "-- id: number of the hero",
        "-- full_name: the full name. evidence: Mr. X",
        "-- ht: height. height in cm",
        "plain(a int)",
        "-- a: café",
    ]
    ddl = render_schema(SchemaSpec(comments=True, format="ddl"), schema)
    assert ddl.count("number of the hero") == 1 and "-- ht: height" in ddl
    assert "--" not in render_schema(SchemaSpec(), schema)


def test_a_changed_description_is_read_again(heroes: Database) -> None:
    with_comments(heroes, describe(heroes))
    file = Path(str(heroes.instances[0])).parent / "database_description" / "plain.csv"
    file.write_text("original_column_name,column_description\na,new text\n")
    assert with_comments(heroes, describe(heroes)).tables[1].columns[0].comment == "new text"


def test_comments_of_duckdb(tmp_path: Path) -> None:
    path = tmp_path / "d.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE t(a INT); CREATE VIEW v AS SELECT a FROM t")
        connection.execute("COMMENT ON TABLE t IS 'all  the\nthings'; COMMENT ON COLUMN t.a IS 'one'")
        connection.execute("COMMENT ON VIEW v IS 'seen'")
    database = Database("d", "duckdb", (path,))
    table, view = with_comments(database, describe(database)).tables
    assert (table.comment, table.columns[0].comment, view.comment) == ("all the things", "one", "seen")
