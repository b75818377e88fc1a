"""The index of values: bounded, built by the sandbox, kept by the content of the database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tasks.databases import values
from tasks.databases.schema import describe
from tasks.databases.values import find_values
from tasks.types import Database


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A HARNESS_HOME without any files."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def made(path: Path, script: str) -> Database:
    with sqlite3.connect(path) as connection:
        connection.executescript(script)
    connection.close()
    return Database(path.stem, instances=(path,))


SCRIPT = "CREATE TABLE t(a TEXT, n INTEGER); INSERT INTO t VALUES ('Blue Whale', 1), ('owl', 2)"


def found(database: Database, question: str) -> object:
    return find_values(database, describe(database), question)


def test_an_index_is_kept_by_content_and_a_damaged_one_is_built_again(tmp_path: Path, own_home: Path) -> None:
    first, copy = made(tmp_path / "one.sqlite", SCRIPT), made(tmp_path / "two.sqlite", SCRIPT)
    assert found(first, "a blue whale?") == {"t.a": ("Blue Whale",)} == found(copy, "a blue whale?")
    (file,) = (own_home / "values").iterdir()
    file.write_bytes(b"damaged")
    third = made(tmp_path / "three.sqlite", SCRIPT)
    assert found(third, "an owl") == {"t.a": ("owl",)}
    assert file.read_bytes().startswith(b"SQLite format 3")


def test_rows_and_values_are_limited_in_total(tmp_path: Path, own_home: Path) -> None:
    rows = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {values.ROWS + 10})"
    database = made(
        tmp_path / "long.sqlite",
        f"CREATE TABLE t(few TEXT, many TEXT); INSERT INTO t {rows}"
        f" SELECT iif(i <= {values.ROWS}, 'x1', 'x2'), 'y' || i FROM n",
    )
    assert found(database, "x1 y1 y5000") == {"t.few": ("x1",), "t.many": ("y1", "y5000")}
    assert found(database, "x2 y5001") == {}


def test_long_values_and_unprintable_ones_are_left_out(tmp_path: Path, own_home: Path) -> None:
    database = made(
        tmp_path / "odd.sqlite",
        f"CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('{'long ' * 20}'), ('two\nlines'),"
        " (CAST(x'ff41' AS TEXT)), ('fine'), (7), (NULL), ('?!')",
    )
    assert found(database, "long long two lines a fine 7") == {"t.a": ("fine",)}


def test_a_column_that_cannot_be_read_is_left_out_by_name(
    tmp_path: Path, own_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.sqlite"
    with sqlite3.connect(path) as connection:
        connection.create_function("own", 1, str, deterministic=True)
        connection.execute("CREATE TABLE t(a TEXT, b TEXT AS (own(a)), c TEXT)")
        connection.execute("INSERT INTO t(a, c) VALUES ('owl', 'hen')")
    connection.close()
    database = Database("broken", instances=(path,))
    assert found(database, "owl hen") == {"t.a": ("owl",), "t.c": ("hen",)}
    assert "database broken: the values of 1 columns are left out: t.b" in capsys.readouterr().err
