"""The similarity of two queries by clause: equal forms, different forms, and hostile text."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from cpu_time import takes_less
from hypothesis import given
from hypothesis import strategies as st

from rewards.structure.clauses import CLAUSES, ClauseReader, Scope
from rewards.structure.parse import MAX_DEPTH, MAX_TOKENS, parse
from rewards.structure.similarity import same_words, similarity

SELECT = "SELECT T1.name, COUNT(*) FROM singer AS T1 JOIN song AS T2 ON T1.id = T2.singer_id"
WHERE = "WHERE T1.age > 20 AND T2.title = 'A'"
BASE = f"{SELECT} {WHERE} GROUP BY T1.name HAVING COUNT(*) > 1 ORDER BY COUNT(*) DESC LIMIT 3"


def changed(*pairs: str) -> str:
    """BASE with each even argument replaced by the odd one after it."""
    sql = BASE
    for old, new in zip(pairs[::2], pairs[1::2], strict=True):
        assert old in sql
        sql = sql.replace(old, new)
    return sql


SAME = [
    ("another alias", BASE, changed("T1", "a", "T2", "b")),
    ("no alias", BASE, changed(" AS T1", "", " AS T2", "", "T1", "singer", "T2", "song")),
    ("case of names and keywords", BASE, BASE.lower().replace("'a'", "'A'")),
    ("white space", BASE, changed(" ", "\n  ")),
    ("the equation turned", BASE, changed("T1.id = T2.singer_id", "T2.singer_id = T1.id")),
    ("the comparison turned", BASE, changed("T1.age > 20", "20 < T1.age")),
    ("conditions in another order", BASE, changed(WHERE, "WHERE T2.title = 'A' AND T1.age > 20")),
    ("text in double quotes", BASE, changed("'A'", '"A"')),
    ("parentheses", BASE, changed("T1.age > 20", "(T1.age > (20))")),
    ("columns in another order", "SELECT a, b FROM t", "SELECT b, a FROM t"),
    ("a named output", "SELECT a AS x FROM t ORDER BY x", "SELECT a FROM t ORDER BY a"),
    ("an output by number", "SELECT a, COUNT(*) FROM t GROUP BY 1", "SELECT a, COUNT(*) FROM t GROUP BY a"),
    ("a table named or not", "SELECT t.a FROM t", "SELECT a FROM t"),
    ("a table not named in a join", "SELECT t.a FROM t JOIN u USING (i)", "SELECT a FROM t JOIN u USING (i)"),
    ("a join in WHERE", "SELECT a FROM t JOIN u ON t.i = u.i", "SELECT a FROM t, u WHERE t.i = u.i"),
    ("a list in another order", "SELECT a FROM t WHERE b IN (1, 2)", "SELECT a FROM t WHERE b IN (2, 1)"),
    ("a number in another form", "SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = 1.0"),
    ("ascending written or not", "SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a ASC"),
    ("a common table", "WITH q AS (SELECT a FROM t) SELECT a FROM q", "SELECT a FROM (SELECT a FROM t)"),
]


@pytest.mark.parametrize(("gold", "other"), [row[1:] for row in SAME], ids=[row[0] for row in SAME])
def test_equal_forms(gold: str, other: str) -> None:
    assert similarity(gold, other, "sqlite") == dict.fromkeys((*CLAUSES, "overall"), 1.0)
    assert similarity(other, gold, "sqlite")["overall"] == 1.0


DIFFERENT = [
    ("tables", "SELECT a FROM t", "SELECT a FROM u", 0.0),
    ("tables", "SELECT t.a FROM t JOIN u ON t.i = u.i", "SELECT a FROM t", 2 / 3),
    ("tables", "SELECT a FROM t", "WITH t AS (SELECT 1 AS a) SELECT a FROM t", 0.0),
    ("tables", "SELECT a FROM t", "SELECT 1 -- FROM t", 0.0),
    ("columns", "SELECT a, b FROM t", "SELECT a FROM t", 2 / 3),
    ("columns", "SELECT t.a FROM t, u", "SELECT u.a FROM t, u", 0.0),
    ("columns", "SELECT DISTINCT a FROM t", "SELECT a FROM t", 2 / 3),
    ("joins", "SELECT 1 FROM t JOIN u ON t.i = u.i", "SELECT 1 FROM t JOIN u ON t.i = u.j", 0.0),
    ("joins", "SELECT 1 FROM t LEFT JOIN u ON t.i = u.i", "SELECT 1 FROM t JOIN u ON t.i = u.i", 2 / 3),
    ("predicates", "SELECT a FROM t WHERE b = 1 AND c = 2", "SELECT a FROM t WHERE b = 1", 2 / 3),
    ("predicates", "SELECT a FROM t WHERE b = 1 AND c = 2", "SELECT a FROM t WHERE b = 1 OR c = 2", 0.8),
    ("predicates", "SELECT a FROM t WHERE b = 'x'", "SELECT a FROM t WHERE b = 'X'", 0.0),
    ("predicates", "SELECT a FROM t WHERE b > 1", "SELECT a FROM t WHERE b < 1", 0.0),
    ("predicates", "SELECT a FROM t GROUP BY a HAVING MAX(b) > 1", "SELECT a FROM t GROUP BY a", 0.0),
    ("grouping", "SELECT a FROM t GROUP BY a, b", "SELECT a FROM t GROUP BY a", 2 / 3),
    ("ordering", "SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a DESC", 0.0),
    ("limit", "SELECT a FROM t LIMIT 1", "SELECT a FROM t LIMIT 2", 0.0),
    ("limit", "SELECT a FROM t LIMIT 1", "SELECT a FROM t LIMIT 1 OFFSET 1", 2 / 3),
    (
        "set_operations",
        "SELECT a FROM t UNION SELECT a FROM u",
        "SELECT a FROM t EXCEPT SELECT a FROM u",
        0.0,
    ),
    (
        "set_operations",
        "SELECT a FROM t UNION SELECT a FROM u",
        "SELECT a FROM t UNION ALL SELECT a FROM u",
        0.0,
    ),
    ("subqueries", "SELECT a FROM t WHERE b IN (SELECT b FROM u)", "SELECT a FROM t", 0.0),
    ("aggregates", "SELECT MAX(a), MIN(b) FROM t", "SELECT MAX(a), MAX(b) FROM t", 0.5),
    ("aggregates", "SELECT COUNT(a) FROM t", "SELECT COUNT(DISTINCT a) FROM t", 0.0),
]


@pytest.mark.parametrize(("clause", "gold", "other", "score"), DIFFERENT)
def test_different_forms(clause: str, gold: str, other: str, score: float) -> None:
    one, two = similarity(gold, other, "sqlite"), similarity(other, gold, "sqlite")
    assert one[clause] == pytest.approx(score)
    assert one == two, "symmetric"
    assert 0 <= one["overall"] < 1


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("SELECT a FROM t", "select  A\nfrom T", True),
        ("SELECT a FROM t WHERE b>=1.5", "SELECT a FROM t WHERE b >= 1.5", True),
        ("SELECT a FROM t WHERE b = 'x y'", "SELECT a FROM t WHERE b = 'xy'", False),
        ("SELECT a FROM t WHERE b = 'X'", "SELECT a FROM t WHERE b = 'x'", False),
        ('SELECT "A b" FROM t', 'SELECT "Ab" FROM t', False),
        ("SELECT a FROM t", "SELECTa FROM t", False),
        ("SELECT a FROM t WHERE b > = 1", "SELECT a FROM t WHERE b >= 1", False),
        ("SELECT a -- why\nFROM t", "SELECT a -- why FROM t", False),
        ("SELECT a FROM t", "SELECT a FROM t;", False),
    ],
)
def test_the_same_words_need_no_second_parse(one: str, two: str, same: bool) -> None:
    assert same_words(one, two) == same_words(two, one) == same


def test_queries_that_cannot_be_parsed() -> None:
    assert set(similarity("SELECT a FROM t", "SELECT FROM WHERE", "sqlite").values()) == {0.0}
    assert similarity("SELECT FROM WHERE", "SELECT a FROM t", "sqlite") == {}


HOSTILE = {
    "empty": "",
    "no SQL": "DROP TABLE t",
    "two statements": "SELECT 1; SELECT 2",
    "too long": "SELECT " + "a, " * MAX_TOKENS + "a",
    "parentheses": "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
    "parentheses within bounds": "SELECT " + "(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH,
    "subqueries within bounds": "SELECT * FROM " + "(SELECT * FROM " * MAX_DEPTH + "t" + ")" * MAX_DEPTH,
    "NOT": "SELECT " + "NOT " * 2400 + "1",
    "CASE": "SELECT " + "CASE WHEN 1 THEN " * 400 + "1" + " END" * 400,
    "OR": "SELECT a FROM t WHERE a = 1" + " OR a = 1" * 1000,
    "unions": "SELECT 1" + " UNION SELECT 1" * 600,
    "joins": "SELECT 1 FROM t" + " JOIN t" * 1000,
    "joins, fewer: the parser tries 2^30 ways": "SELECT 1 FROM t" + " JOIN t" * 30,
    "calls, tried 2^30 ways": "SELECT * FROM t WHERE " + "OFFSET LIMIT f( " * 30,
    "types, tried 2^20 ways": '"a" LIMIT CASE DECIMAL( ' * 20,
    "common tables": "WITH " + ",".join(f"a{i} AS (SELECT 1)" for i in range(400)) + " SELECT 1",
    "dots": "SELECT a" + ".a" * 4000,
    "quotes": "SELECT " + "'" * 9001,
    "NUL": "SELECT \x00 FROM \x00",
    "garbage": "SELECT " + "[](){}<>!@#$%^&*" * 500,
    "struct types, tried 4^22 ways": "SELECT " + "STRUCT ( " * 22 + "1" + ")" * 22,
    "unions in brackets": "SELECT * FROM " + "UNION ( " * 22 + "1" + ")" * 22,
    "LATERAL": "SELECT 1 FROM " + "t, LATERAL (" * 24 + "u" + ")" * 24,
    "casts and parameters": "SELECT * FROM " + "( CAST LIMIT $1 " * 20 + ")" * 20,
    "never closed": "SELECT * FROM t WHERE " + "OFFSET LIMIT f( " * 12,
    "ORDER BY in each subquery": "SELECT " + "(SELECT " * 10 + "1" + " ORDER BY 1)" * 10 + " ORDER BY 1",
    "GROUP BY in each subquery": "SELECT " + "(SELECT " * 10 + "1" + " GROUP BY 1, 1, 1)" * 10,
    "an alias in each term": "SELECT a" + "+a" * 900 + " AS x FROM t ORDER BY x" + ", x" * 900,
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("dialect", ["sqlite", "duckdb"])
def test_hostile_text_is_bounded(name: str, dialect: str) -> None:
    attempt = count()

    def compare() -> None:
        text = HOSTILE[name] + " " * next(attempt)  # another text each time: trees are cached by text
        assert 0 <= similarity("SELECT name FROM singer WHERE age = 1", text, dialect)["overall"] < 0.5

    assert takes_less(compare, seconds=1)


GROWING: dict[str, Callable[[int], str]] = {
    "ORDER BY in each subquery": lambda n: (
        "SELECT " + "(SELECT " * n + "1" + " ORDER BY 1)" * n + " ORDER BY 1"
    ),
    "GROUP BY in each subquery": lambda n: "SELECT " + "(SELECT " * n + "a, 1" + " GROUP BY 1, 2, 1)" * n,
    "an ordered query in FROM": lambda n: (
        "SELECT * FROM " + "(SELECT *, (SELECT 1) FROM " * n + "t" + " ORDER BY 1, 2, 2)" * n + " ORDER BY 1"
    ),
    "terms that name a subquery": lambda n: "SELECT (SELECT MAX(a) FROM t) FROM t ORDER BY 1" + ", 1" * n,
    "terms that name an alias": lambda n: "SELECT a" + "+a" * n + " AS x FROM t ORDER BY x" + ", x" * n,
    "sums": lambda n: "SELECT " + "SUM(a) + " * n + "1 FROM t",
    "conditions": lambda n: "SELECT a FROM t WHERE " + "a = 1 OR " * n + "b = 2",
}


@pytest.mark.parametrize("name", GROWING)
def test_nodes_read_grow_as_the_query_does(name: str) -> None:
    """Twice the query is at most twice the nodes, and a constant; each of its contents is counted once."""

    def nodes(n: int) -> int:
        reader, tree = ClauseReader(), parse(GROWING[name](n), "sqlite")
        assert tree is not None
        reader.query(tree, Scope())
        return reader.nodes

    for n in (2, 5, 10) if "each" in name or "in FROM" in name else (25, 50, 100):
        assert nodes(n) <= 2 * nodes(n // 2) + 20


READ = [
    ("sqlite", "SELECT a FROM t", "SELECT a FROM t;"),
    ("sqlite", "SELECT a FROM t", "SELECT a FROM t; -- that is all"),
    ("sqlite", "SELECT a FROM t", ";; SELECT a FROM t ;; /* end */ ;"),
    ("sqlite", "SELECT a FROM t", "/* a; b */ SELECT a FROM t /* never closed"),
    ("sqlite", "SELECT a FROM t", "SELECT a FROM t -- " + "(" * 20_000),
    ("sqlite", "SELECT CAST(a AS INTEGER) FROM t", "SELECT CAST(a AS UNSIGNED BIG INT) FROM t"),
    ("sqlite", "SELECT CAST(a AS TEXT) FROM t", "SELECT CAST(a AS NATIVE CHARACTER) FROM t"),
    ("sqlite", "SELECT * FROM (VALUES (1))", "VALUES (1)"),
    ("duckdb", "SELECT * FROM t", "FROM t"),
    ("duckdb", "SELECT * FROM t", "FROM t; -- all"),
    ("duckdb", "SELECT * FROM (PIVOT t ON a USING SUM(b))", "PIVOT t ON a USING SUM(b)"),
]


@pytest.mark.parametrize(("dialect", "gold", "other"), READ)
def test_what_the_engine_runs_is_parsed(dialect: str, gold: str, other: str) -> None:
    assert similarity(gold, other, dialect)["overall"] == 1.0
    assert similarity(other, gold, dialect)["overall"] == 1.0


@pytest.mark.parametrize("sql", ["SELECT 1; SELECT 2", "", ";", "-- SELECT 1", "SELECT (1", "SELECT 1)"])
def test_what_is_not_one_query_is_not_parsed(sql: str) -> None:
    assert parse(sql, "sqlite") is None


WORDS = [
    "SELECT",
    "FROM",
    "WHERE",
    "AND",
    "IN",
    "ORDER BY",
    "LIMIT",
    "JOIN",
    *"=,(*)",
    "1",
    "'x'",
    "a",
    "t",
    "u",
]


@given(st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_scores_within_range(text: str) -> None:
    assert all(0 <= score <= 1 for score in similarity(BASE, text, "sqlite").values())
