"""Generated instances keep constraints, expose lucky queries and are deterministic."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from tasks.common.errors import DataError
from tasks.databases.instances.queries import mentions_of, mutants
from tasks.databases.instances.variants import with_variants
from tasks.databases.sandbox.executor import Executor
from tasks.types import Database, Limits

DDL = """
CREATE TABLE country(code TEXT PRIMARY KEY, name TEXT NOT NULL, size REAL CHECK (size >= 0));
CREATE TABLE "big city"(id INTEGER PRIMARY KEY, name TEXT, country TEXT NOT NULL REFERENCES country(code),
  people INTEGER, twice AS (people * 2), UNIQUE (name, country));
CREATE TABLE flight(no INTEGER, source INTEGER, target INTEGER, day DATE, PRIMARY KEY (no, day),
  FOREIGN KEY (source) REFERENCES "big city"(id), FOREIGN KEY (target) REFERENCES "big city"(id));
CREATE TABLE boss(id INTEGER PRIMARY KEY, name TEXT, above INTEGER REFERENCES boss(id));
CREATE VIEW small AS SELECT * FROM country WHERE size < 10;
CREATE TRIGGER t AFTER INSERT ON country BEGIN DELETE FROM country; END;
"""
ROWS = """
INSERT INTO "big city"(id, name, country, people)
VALUES (1, 'Rome', 'IT', 9), (2, 'Pisa', 'IT', 1), (3, 'Oslo', 'NO', 5);
INSERT INTO flight VALUES (1, 1, 2, '2020-01-01'), (2, 2, 3, '2020-02-01'), (3, 1, 3, '2021-01-01');
INSERT INTO boss VALUES (1, 'Ann', NULL), (2, 'Bob', 1);
"""
GOLDS = (
    "SELECT count(*) FROM flight WHERE source = 1",
    "SELECT name FROM \"big city\" WHERE people > 4 AND country = 'IT'",
    'SELECT c.name, count(*) FROM country c JOIN "big city" b ON b.country = c.code GROUP BY c.code',
    "SELECT name FROM country ORDER BY size DESC LIMIT 1",
    "SELECT name FROM country WHERE name LIKE '%orw%'",
    "SELECT no FROM flight WHERE day >= '2020-06-01'",
)
LUCKY = (
    "SELECT count(*) FROM flight WHERE target != 1 AND no != 2",
    "SELECT name FROM \"big city\" WHERE people > 5 AND country = 'IT'",
    'SELECT c.name, count(*) FROM country c JOIN "big city" b ON b.country = c.code GROUP BY c.name',
    "SELECT name FROM country WHERE code = 'NO'",
    "SELECT name FROM country WHERE name = 'Norway'",
    "SELECT no FROM flight WHERE day > '2020-06-01'",
)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    path = tmp_path / "base.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(DDL)
    connection.execute("DROP TRIGGER t")
    connection.execute("INSERT INTO country VALUES ('IT', 'Italy', 3.0), ('NO', 'Norway', 4.0)")
    connection.executescript(ROWS)
    connection.execute("CREATE TRIGGER t AFTER INSERT ON country BEGIN DELETE FROM country; END")
    connection.commit()
    connection.close()
    return Database("../base city", instances=(path,))


def test_variants_keep_the_schema_and_every_constraint(database: Database, tmp_path: Path) -> None:
    varied = with_variants(database, GOLDS, 3, tmp_path / "variants")
    assert varied.instances[0] == database.instances[0]
    assert all(path.parent == tmp_path / "variants" for path in varied.instances[1:])
    for path in varied.instances[1:]:
        connection = sqlite3.connect(path)
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        names = connection.execute(
            "SELECT name FROM sqlite_master WHERE sql IS NOT NULL ORDER BY 1"
        ).fetchall()
        assert [name for (name,) in names] == ["big city", "boss", "country", "flight", "small"]
        for table in ("country", "big city", "flight", "boss"):
            (count,) = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()
            assert 5 <= count <= 300, table
        assert connection.execute("SELECT count(*) FROM country WHERE name IS NULL").fetchone() == (0,)
        connection.close()


def test_variants_distinguish_lucky_queries_and_no_equal_ones(database: Database, tmp_path: Path) -> None:
    varied = with_variants(database, GOLDS, 3, tmp_path)
    executor = Executor(Limits())

    def agrees(one: str, two: str, instance: int) -> bool:
        left, right = executor.run(varied, instance, one), executor.run(varied, instance, two)
        return sorted(map(repr, left.rows)) == sorted(map(repr, right.rows))

    for gold, lucky in zip(GOLDS, LUCKY, strict=True):
        assert agrees(gold, lucky, 0), "right by luck on the base database"
        assert not all(agrees(gold, lucky, instance) for instance in (1, 2, 3)), lucky
    top = "SELECT name FROM country WHERE size = (SELECT max(size) FROM country)"
    assert all(agrees(GOLDS[3], top, instance) for instance in range(4)), "no tie where LIMIT picks"


def test_variants_are_deterministic_and_generated_once(database: Database, tmp_path: Path) -> None:
    one = with_variants(database, GOLDS, 2, tmp_path / "one")
    arguments = f"Database({database.id!r}, instances=(Path({str(database.instances[0])!r}),)), {GOLDS!r}"
    script = (
        "from pathlib import Path; from tasks.types import Database;"
        "from tasks.databases.instances.variants import with_variants;"
        f"with_variants({arguments}, 2, Path({str(tmp_path / 'two')!r}))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parents[1])}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True)
    two = sorted((tmp_path / "two").iterdir())
    assert [path.name for path in two] == [path.name for path in one.instances[1:]]
    assert [path.read_bytes() for path in two] == [path.read_bytes() for path in one.instances[1:]]
    changed = [path.stat().st_mtime_ns for path in one.instances]
    assert with_variants(database, GOLDS, 2, tmp_path / "one") == one
    assert [path.stat().st_mtime_ns for path in one.instances] == changed
    other = with_variants(database, GOLDS, 2, tmp_path / "one", seed=1)
    assert other.instances[1].read_bytes() != one.instances[1].read_bytes()


def test_an_empty_schema_is_filled_so_that_golds_return_rows(tmp_path: Path) -> None:
    database = with_variants(Database("d", ddl=DDL), GOLDS, 2, tmp_path)
    assert len(database.instances) == 2
    executor = Executor(Limits())
    for gold in GOLDS:
        outcomes = [executor.run(database, instance, gold) for instance in (0, 1)]
        assert any(outcome.rows not in ((), ((0,),)) for outcome in outcomes), gold


def test_golds_cannot_change_anything(database: Database, tmp_path: Path) -> None:
    target = tmp_path / "written.sqlite"
    golds = (
        "DELETE FROM flight",
        f"ATTACH '{target}' AS x",
        f"VACUUM INTO '{target}'",
        "not SQL",
        "SELECT '",
    )
    varied = with_variants(database, golds, 1, tmp_path / "variants")
    assert len(varied.instances) == 2
    assert not target.exists()


def test_a_database_without_variants_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="generated for SQLite only"):
        with_variants(Database("d", "duckdb", ddl="CREATE TABLE t(a INT)"), GOLDS, 1, tmp_path)
    with pytest.raises(DataError, match=r"none\.sqlite"):
        with_variants(Database("d", instances=(tmp_path / "none.sqlite",)), GOLDS, 1, tmp_path)


def test_the_mentions_of_queries() -> None:
    mentions = mentions_of(
        ["SELECT a FROM t JOIN u ON t.x = u.y WHERE b > 3 AND c LIKE '%q%' ORDER BY d LIMIT 2", "(("]
    )
    assert mentions.values == {"b": [3], "c": ["%q%"]}
    assert mentions.joined == {"x": {"y"}, "y": {"x"}}
    assert mentions.ranked == {"d"}


def test_near_misses_are_queries_and_differ() -> None:
    sql = "SELECT a, MAX(b) FROM t WHERE a > 3 AND b = 'x' GROUP BY a ORDER BY b DESC LIMIT 2"
    found = mutants(sql, {"t": ("a", "b", "c")}, 100, Random(0))
    assert len(found) > 10
    assert len(set(found)) == len(found)
    assert sql not in found
    assert any(">= 3" in other for other in found)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t(a, b, c)")
    for other in found:
        connection.execute(other)
    connection.close()
    assert mutants("no SQL at all (", {}, 5, Random(0)) == []


@pytest.mark.slow
def test_spider_test_suite_is_nearly_matched() -> None:
    if "HARNESS_DATA" not in os.environ:
        pytest.skip("HARNESS_DATA is not set: no Spider databases")
    script = Path(__file__).parents[1] / "benchmarks/variants.py"
    run = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    last = run.stdout.splitlines()[-1]
    shares = [float(part.split("%")[0]) for part in last.split("(")[1:]]
    assert shares[0] >= 80 and shares[1] <= 0.5, last
