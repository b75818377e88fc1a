"""Which order a gold requires, which rows tie under it and which tie at its LIMIT, with real engines."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rewards.grader import Grader
from rewards.matching.order_by import find_order_by
from rewards.types import Answer, Attempt
from tasks.spec import ScoringSpec
from tasks.types import Database, Engine

ROWS = """
CREATE TABLE p (id INTEGER PRIMARY KEY, name TEXT{nocase}, age INTEGER, x {real}, big {big});
INSERT INTO p VALUES (1, 'a', 3, 0.1, 1), (2, 'A', 3, 0.2, 2), (3, 'b', 2, {nan}, 3), (4, 'B', 2, {nan}, 4),
  (5, 'C', 1, 1.0, 5), (6, 'd', 1, 2.0, 6), (7, 'e', 0, 0.3, 7);
CREATE TABLE pay (who TEXT, nr INTEGER, amount {real});
INSERT INTO pay VALUES ('u', 1, 0.1), ('u', 2, 0.2), ('u', 3, 0.3), ('v', 1, 0.6), ('w', 1, 0.5);
CREATE VIEW sorted AS SELECT id, age FROM p;
"""
DATABASES: dict[Engine, Database] = {
    "sqlite": Database(
        "p", ddl=ROWS.format(nocase=" COLLATE NOCASE", real="REAL", nan="NULL", big="UNSIGNED BIG INT")
    ),
    "duckdb": Database(
        "p", "duckdb", ddl=ROWS.format(nocase=" COLLATE NOCASE", real="DOUBLE", nan="'nan'", big="UBIGINT")
    ),
}
ALL = "SELECT id FROM p ORDER BY id"
UP, DOWN = "ORDER BY age, id", "ORDER BY age, id DESC"

BOTH: list[tuple[str, str, str, str]] = [
    # name, gold, answer, reason
    (
        "a term in brackets",
        "SELECT id FROM p ORDER BY (id)",
        "SELECT id FROM p ORDER BY id DESC",
        "wrong_order",
    ),
    (
        "a number in brackets",
        "SELECT age, id FROM p ORDER BY (age)",
        f"SELECT age, id FROM p {DOWN}",
        "correct",
    ),
    ("a number", "SELECT age, id FROM p ORDER BY 1", f"SELECT age, id FROM p {DOWN}", "correct"),
    (
        "a number, downwards",
        "SELECT age, id FROM p ORDER BY 1 DESC",
        f"SELECT age, id FROM p {UP}",
        "wrong_order",
    ),
    ("NULLS LAST", "SELECT age, id FROM p ORDER BY 1 NULLS LAST", f"SELECT age, id FROM p {DOWN}", "correct"),
    (
        "NULL among rows that tie",
        "SELECT NULLIF(id, 3) FROM p ORDER BY age % 2 NULLS LAST",
        "SELECT NULL UNION ALL SELECT 7 UNION ALL SELECT 4 UNION ALL SELECT 1 UNION ALL SELECT 6"
        " UNION ALL SELECT 2 UNION ALL SELECT 5",
        "correct",
    ),
    (
        "an expression",
        "SELECT id FROM p ORDER BY age % 2, age",
        "SELECT id FROM p ORDER BY age % 2, age, id DESC",
        "correct",
    ),
    (
        "an alias in UNION",
        "SELECT age AS n, id FROM p UNION SELECT age, id FROM p ORDER BY n",
        f"SELECT age, id FROM p {DOWN}",
        "correct",
    ),
    (
        "an alias in UNION, not obeyed",
        "SELECT age AS n, id FROM p UNION SELECT age, id FROM p ORDER BY n",
        f"SELECT age, id FROM p {UP} LIMIT 9 OFFSET 0",
        "correct",
    ),
    (
        "UNION, other order",
        "SELECT age AS n, id FROM p UNION SELECT age, id FROM p ORDER BY n",
        "SELECT age, id FROM p ORDER BY age DESC",
        "wrong_order",
    ),
    (
        "a collation named in the term",
        "SELECT name || '' AS n FROM p ORDER BY n COLLATE NOCASE",
        "SELECT name || '' AS n FROM p ORDER BY lower(name), id DESC",
        "correct",
    ),
    (
        "a collation, other order",
        "SELECT name || '' AS n FROM p ORDER BY n COLLATE NOCASE",
        "SELECT name || '' FROM p ORDER BY lower(name) DESC",
        "wrong_order",
    ),
    (
        "a collation of the column",
        "SELECT name FROM p ORDER BY name",
        "SELECT name FROM p ORDER BY lower(name), id DESC",
        "correct",
    ),
    (
        "a collation of the column, other order",
        "SELECT name FROM p ORDER BY name",
        "SELECT name FROM p ORDER BY lower(name) DESC",
        "wrong_order",
    ),
    (
        "NULL and NaN tie",
        "SELECT id FROM p WHERE age = 2 ORDER BY x",
        "SELECT id FROM p WHERE age = 2 ORDER BY id DESC",
        "correct",
    ),
    (
        "NULL and NaN tie and stand in the result",
        "SELECT x, id FROM p ORDER BY x",
        "SELECT x, id FROM p ORDER BY x, id DESC",
        "correct",
    ),
    (
        "sums that differ in the last digits",
        "SELECT who FROM pay WHERE who <> 'w' GROUP BY who ORDER BY SUM(amount) * 3 / 3",
        "SELECT who FROM pay WHERE who <> 'w' GROUP BY who ORDER BY who DESC",
        "correct",
    ),
    (
        "sums in the last digits, the rest in order",
        "SELECT who FROM pay GROUP BY who ORDER BY SUM(amount)",
        "SELECT who FROM pay GROUP BY who ORDER BY SUM(amount) DESC",
        "wrong_order",
    ),
    (
        "literal sums",
        "SELECT 'u' AS w, 0.1e0 + 0.2e0 AS s UNION ALL SELECT 'v', 0.3e0 ORDER BY s",
        "SELECT 'u' AS w, 0.1e0 + 0.2e0 AS s UNION ALL SELECT 'v', 0.3e0 ORDER BY w",
        "correct",
    ),
    (
        "a comment behind a semicolon",
        "SELECT age, id FROM p ORDER BY age; -- youngest first",
        f"SELECT age, id FROM p {DOWN}",
        "correct",
    ),
    ("two semicolons", "SELECT age, id FROM p ORDER BY age;;", f"SELECT age, id FROM p {DOWN}", "correct"),
    (
        "a comment between the words",
        "SELECT age, id FROM p ORDER /* by */ BY age -- up",
        f"SELECT age, id FROM p {DOWN}",
        "correct",
    ),
    (
        "a comment, other order",
        "SELECT age, id FROM p ORDER /* by */ BY age -- up",
        "SELECT age, id FROM p ORDER BY age DESC",
        "wrong_order",
    ),
    (
        "the words in a comment",
        "SELECT age, id FROM p -- ORDER BY age",
        "SELECT age, id FROM p ORDER BY age DESC",
        "correct",
    ),
    ("a view", "SELECT * FROM sorted ORDER BY age", "SELECT * FROM sorted ORDER BY age, id DESC", "correct"),
    (
        "a CTE",
        "WITH q AS (SELECT * FROM p) SELECT id FROM q ORDER BY age",
        f"SELECT id FROM p {DOWN}",
        "correct",
    ),
    (
        "a key that is not shown",
        "SELECT id FROM p ORDER BY age",
        "SELECT id FROM p ORDER BY age DESC",
        "wrong_order",
    ),
    (
        "an aggregate that is not shown",
        "SELECT age FROM p GROUP BY age ORDER BY COUNT(*) DESC",
        "SELECT age FROM p GROUP BY age ORDER BY COUNT(*) DESC, age DESC",
        "correct",
    ),
    (
        "a subquery's order does not count",
        "SELECT id FROM (SELECT id FROM p ORDER BY id) AS t",
        "SELECT id FROM p ORDER BY id DESC",
        "correct",
    ),
    # LIMIT
    (
        "LIMIT 1 of two that tie",
        "SELECT id FROM p WHERE age > 1 ORDER BY age DESC LIMIT 1",
        "SELECT id FROM p ORDER BY age DESC, id DESC LIMIT 1",
        "correct",
    ),
    (
        "LIMIT 1, a row that does not tie",
        "SELECT id FROM p ORDER BY age DESC LIMIT 1",
        "SELECT id FROM p WHERE age = 2 LIMIT 1",
        "wrong_rows",
    ),
    (
        "the LIMIT of a tie by a count",
        "SELECT age FROM p GROUP BY age ORDER BY COUNT(*) DESC LIMIT 1",
        "SELECT 1",
        "correct",
    ),
    (
        "the LIMIT of a tie by a count, not of it",
        "SELECT age FROM p GROUP BY age ORDER BY COUNT(*) DESC LIMIT 1",
        "SELECT 0",
        "wrong_rows",
    ),
    (
        "rows before the cut must be there",
        "SELECT id FROM p ORDER BY age DESC LIMIT 3",
        "SELECT id FROM p WHERE id IN (1, 2, 4) ORDER BY id",
        "correct",
    ),
    (
        "a row before the cut is missing",
        "SELECT id FROM p ORDER BY age DESC LIMIT 3",
        "SELECT id FROM p WHERE id IN (1, 3, 4) ORDER BY id",
        "wrong_rows",
    ),
    (
        "a row before the cut behind it",
        "SELECT id FROM p ORDER BY age DESC LIMIT 3",
        "SELECT id FROM p WHERE id IN (1, 2, 4) ORDER BY id DESC",
        "wrong_rows",
    ),
    (
        "a tied row twice",
        "SELECT id FROM p ORDER BY age DESC LIMIT 4 OFFSET 1",
        "SELECT id FROM (SELECT 1 AS id UNION ALL SELECT 3 UNION ALL SELECT 3 UNION ALL SELECT 5) AS t",
        "wrong_rows",
    ),
    (
        "cut at both ends",
        "SELECT id FROM p ORDER BY age DESC LIMIT 4 OFFSET 1",
        "WITH t(id, n) AS (VALUES (2, 1), (4, 2), (3, 3), (6, 4)) SELECT id FROM t ORDER BY n",
        "correct",
    ),
    (
        "a row less than the LIMIT",
        "SELECT id FROM p ORDER BY age DESC LIMIT 3",
        "SELECT id FROM p WHERE id IN (1, 2)",
        "wrong_rows",
    ),
    (
        "cut, with columns in another order",
        "SELECT name, id FROM p ORDER BY age DESC LIMIT 3",
        "SELECT id, name FROM p WHERE id IN (1, 2, 4) ORDER BY id DESC LIMIT 0 OFFSET 9",
        "empty_result",
    ),
    (
        "cut and columns",
        "SELECT name, id FROM p ORDER BY age DESC LIMIT 1",
        "SELECT id, name FROM p WHERE id = 2",
        "correct",
    ),
    (
        "cut, columns of different rows",
        "SELECT name, id FROM p ORDER BY age DESC LIMIT 1",
        "SELECT 2, 'a'",
        "wrong_rows",
    ),
    (
        "cut, in the last digits of a sum",
        "SELECT who, SUM(amount) FROM pay WHERE who <> 'w' GROUP BY who ORDER BY SUM(amount) DESC LIMIT 1",
        "SELECT 'v', 0.6",
        "correct",
    ),
    (
        "a tie behind OFFSET, columns in another order",
        "SELECT age, id FROM p ORDER BY age DESC LIMIT 9 OFFSET 4",
        "SELECT 6 AS id, 1 AS age UNION ALL SELECT 5, 1 UNION ALL SELECT 7, 0",
        "correct",
    ),
    (
        "nothing but a tie behind OFFSET, columns in another order",
        "SELECT age, id FROM p WHERE age > 1 ORDER BY age DESC LIMIT 9 OFFSET 2",
        "SELECT 4 AS id, 2 AS age UNION ALL SELECT 3, 2",
        "correct",
    ),
    (
        "OFFSET by a query",
        "SELECT id FROM p ORDER BY age LIMIT 1 OFFSET (SELECT COUNT(*) FROM p) / 7",
        "SELECT 6",
        "correct",
    ),
    (
        "OFFSET by a query, not of the tie",
        "SELECT id FROM p ORDER BY age LIMIT 1 OFFSET (SELECT COUNT(*) FROM p) / 7",
        "SELECT 7",
        "wrong_rows",
    ),
    (
        "OFFSET by a CTE",
        "WITH q AS (SELECT 1 AS n) SELECT id FROM p ORDER BY age LIMIT 1 OFFSET (SELECT n FROM q)",
        "SELECT 6",
        "correct",
    ),
    (
        "sums in the last digits behind IS DISTINCT FROM",
        "SELECT who IS DISTINCT FROM 'u', who FROM pay WHERE who <> 'w' GROUP BY who ORDER BY +SUM(amount)",
        "SELECT 0, 'u' UNION ALL SELECT 1, 'v'",
        "correct",
    ),
    (
        "cut, in the last digits, behind rows that are the same",
        "SELECT who FROM (SELECT 'u' AS who, 0.3e0 AS s UNION ALL SELECT 'u', 0.3e0 UNION ALL"
        " SELECT 'v', 0.1e0 + 0.2e0) AS t ORDER BY s LIMIT 2 OFFSET 1",
        "SELECT 'u' UNION ALL SELECT 'u'",
        "correct",
    ),
    ("LIMIT without order", "SELECT id FROM p LIMIT 1", "SELECT id FROM p WHERE id = 3", "wrong_rows"),
    (
        "a LIMIT that cuts nothing",
        "SELECT id FROM p ORDER BY age LIMIT 100",
        f"SELECT id FROM p {DOWN}",
        "correct",
    ),
    (
        "a LIMIT inside",
        "SELECT MAX(id) FROM (SELECT id FROM p ORDER BY age DESC LIMIT 1) AS t",
        "SELECT 1 + 1",
        "wrong_rows",
    ),
]
SQLITE: list[tuple[str, str, str, str]] = [
    (
        "a number and a collation",
        "SELECT name || '' FROM p ORDER BY 1 COLLATE NOCASE",
        "SELECT name || '' FROM p ORDER BY lower(name), id DESC",
        "correct",
    ),
    (
        "a number and a collation, other order",
        "SELECT name || '' FROM p ORDER BY 1 COLLATE NOCASE",
        "SELECT name || '' FROM p ORDER BY lower(name) DESC",
        "wrong_order",
    ),
    (
        "a type of three words",
        "SELECT CAST(age AS UNSIGNED BIG INT), id FROM p ORDER BY CAST(age AS UNSIGNED BIG INT)",
        f"SELECT age, id FROM p {DOWN}",
        "correct",
    ),
    (
        "LIMIT with a comma",
        "SELECT id FROM p ORDER BY age DESC LIMIT 1, 2",
        "SELECT id FROM p WHERE id IN (2, 4)",
        "correct",
    ),
    (
        "LIMIT with a comma, a row before it",
        "SELECT id FROM p ORDER BY age DESC LIMIT 2, 1",
        "SELECT 1",
        "wrong_rows",
    ),
    (
        "a name in square brackets",
        "SELECT age AS [order by], id FROM p ORDER BY [order by]",
        f"SELECT age, id FROM p {DOWN}",
        "correct",
    ),
]
DUCKDB: list[tuple[str, str, str, str]] = [
    ("all in brackets", "(SELECT age, id FROM p ORDER BY age)", f"SELECT age, id FROM p {DOWN}", "correct"),
    (
        "all in brackets, other order",
        "(SELECT id FROM p ORDER BY id)",
        "SELECT id FROM p ORDER BY id DESC",
        "wrong_order",
    ),
    (
        "brackets twice",
        "((SELECT id FROM p ORDER BY id));",
        "SELECT id FROM p ORDER BY id DESC",
        "wrong_order",
    ),
    ("brackets and LIMIT", "(SELECT id FROM p ORDER BY age DESC) LIMIT 1", "SELECT 2", "correct"),
    (
        "brackets, WITH",
        "WITH q AS (SELECT * FROM p) (SELECT id FROM q ORDER BY id)",
        "SELECT id FROM p ORDER BY id DESC",
        "wrong_order",
    ),
    ("ORDER BY ALL", "SELECT age, id FROM p ORDER BY ALL", f"SELECT age, id FROM p {DOWN}", "wrong_order"),
    (
        "ORDER BY ALL under a collation",
        "SELECT name FROM p ORDER BY ALL DESC NULLS LAST",
        "SELECT name FROM p ORDER BY lower(name) DESC, id DESC",
        "correct",
    ),
    (
        "ORDER BY *, cut in a tie under a collation",
        "SELECT name FROM p ORDER BY * LIMIT 1",
        "SELECT 'A'",
        "correct",
    ),
    (
        "a collation beside a date",
        "SELECT name, DATE '2020-01-01' FROM p ORDER BY name",
        "SELECT name, DATE '2020-01-01' FROM p ORDER BY lower(name), id DESC",
        "correct",
    ),
    ("FROM first", "FROM p SELECT age, id ORDER BY age", f"SELECT age, id FROM p {DOWN}", "correct"),
    (
        "a list in the result",
        "SELECT [id, 1] FROM p ORDER BY age",
        f"SELECT [id, 1] FROM p {DOWN}",
        "correct",
    ),
    ("OFFSET first", "SELECT id FROM p ORDER BY age DESC OFFSET 1 LIMIT 1", "SELECT 1", "correct"),
    ("FETCH", "SELECT id FROM p ORDER BY age DESC FETCH FIRST 1 ROW ONLY", "SELECT 2", "correct"),
    ("a share of the rows", "SELECT id FROM p ORDER BY age DESC LIMIT 15%", "SELECT 2", "correct"),
]
CASES: list[tuple[Engine, str, str, str, str]] = [
    *(("sqlite", *case) for case in (*BOTH, *SQLITE)),
    *(("duckdb", *case) for case in (*BOTH, *DUCKDB)),
]


@pytest.fixture(scope="module")
def attempts() -> Iterator[dict[tuple[str, str], Attempt]]:
    with Grader(ScoringSpec(), workers=1, structure=False) as grader:
        grades = grader.grade_answers(
            [Answer(DATABASES[engine], (gold,), answer) for engine, _, gold, answer, _ in CASES]
        )
        yield {(case[0], case[1]): grade.attempt for case, grade in zip(CASES, grades, strict=True)}


@pytest.mark.parametrize(("engine", "name", "reason"), [(case[0], case[1], case[4]) for case in CASES])
def test_orders(engine: str, name: str, reason: str, attempts: dict[tuple[str, str], Attempt]) -> None:
    attempt = attempts[engine, name]
    assert attempt.reason == reason, attempt.detail


def test_names_of_cases_are_unique() -> None:
    assert len({case[:2] for case in CASES}) == len(CASES)


OFFSETS: list[tuple[Engine, str, int | None]] = [
    ("sqlite", "LIMIT 3", 0),
    ("sqlite", "LIMIT 3 OFFSET 2", 2),
    ("sqlite", "LIMIT 2, 3", 2),
    ("sqlite", "LIMIT (SELECT 3)", 0),
    ("sqlite", "LIMIT 3 OFFSET (SELECT 2)", None),
    ("sqlite", "LIMIT 3 OFFSET 1 + 1", None),
    ("duckdb", "OFFSET 2", 2),
    ("duckdb", "OFFSET 2 LIMIT 3", 2),
    ("duckdb", "OFFSET 2 ROWS FETCH NEXT 3 ROWS ONLY", 2),
    ("duckdb", "LIMIT 20%", 0),
    ("mariadb", "LIMIT 2, 3 # ORDER BY b", 2),
    ("mariadb", "OFFSET 2 ROWS FETCH NEXT 3 ROWS ONLY", 2),
]


@pytest.mark.parametrize(("engine", "limit", "offset"), OFFSETS)
def test_offsets(engine: Engine, limit: str, offset: int | None) -> None:
    found = find_order_by(f"SELECT a FROM t ORDER BY a {limit}", engine)
    assert found is not None
    assert (found.limited, found.offset, found.terms) == (True, offset, ("a",))
