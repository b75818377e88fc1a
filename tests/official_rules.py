"""The official verdicts from first principles: plain ``sqlite3``, naive searches, nothing of the scorers.

Written from what the evaluators of Spider (test-suite-sql-eval, default flags) and BIRD (mini_dev) do, not
from our scorers: what both agree on in ``test_official_fuzz`` is not one mistake made twice.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

Table = list[tuple[Any, ...]]


def rows_of(path: Path, sql: str, decode: Callable[[bytes], str] | None = None) -> Table | None:
    """All rows on a fresh connection, None where anything is raised."""
    with closing(sqlite3.connect(path)) as connection:
        if decode:
            connection.text_factory = decode
        try:
            return connection.execute(sql).fetchall()
        except Exception:
            return None


def spider(path: Path, gold: str, prediction: str) -> float | None:
    """Spider's EX on one database; None where the evaluator stops, since the gold fails."""
    gold, prediction = _as_run(gold), _as_run(prediction)
    expected = rows_of(path, gold, _ignoring)
    if expected is None:
        return None
    got = rows_of(path, prediction, _ignoring)
    return 0.0 if got is None else float(_same_denotation(expected, got, "order by" in gold.lower()))


def bird(path: Path, gold: str, prediction: str) -> float:
    """BIRD's EX: anything raised, by either query, is 0."""
    got = rows_of(path, prediction)
    expected = rows_of(path, gold)
    return 0.0 if got is None or expected is None else float(set(got) == set(expected))


def bird_f1(path: Path, gold: str, prediction: str) -> float:
    """The mini-dev's soft F1."""
    got, expected = rows_of(path, prediction), rows_of(path, gold)
    if got is None or expected is None:
        return 0.0
    return _soft_f1(got, expected)


def runs(path: Path, gold: str) -> bool:
    """Whether BIRD's evaluator gets rows from a gold, where our rule leaves a gold that fails unscored."""
    return rows_of(path, gold) is not None


def _ignoring(text: bytes) -> str:
    return text.decode(errors="ignore")


def _as_run(sql: str) -> str:
    for apart, joined in (("> =", ">="), ("< =", "<="), ("! =", "!=")):
        sql = sql.replace(apart, joined)
    first = "".join(token for token in _first_statement(sql) if token.lower() != "distinct")
    return re.sub(r"YEAR\s*\(\s*CURDATE\s*\(\s*\)\s*\)\s*", "2020", first, flags=re.IGNORECASE)


def _first_statement(sql: str) -> Iterator[str]:
    """The tokens up to the first semicolon, and the blanks and line comments right behind it."""
    place = 0
    ended = False
    while place < len(sql):
        token = _token(sql, place)
        if ended and not (token.startswith("--") or (token.isspace() and token not in "\r\n")):
            return
        ended = ended or token == ";"
        yield token
        place += len(token)


def _token(sql: str, place: int) -> str:
    """One token as sqlparse's lexer cuts it, character by character."""
    first, pair = sql[place], sql[place : place + 2]
    if pair == "--":
        end = place
        while end < len(sql) and sql[end] not in "\r\n":
            end += 1
        return sql[place : end + 2] if sql[end : end + 2] == "\r\n" else sql[place : end + 1]
    if pair == "/*" and "*/" in sql[place + 2 :]:
        return sql[place : sql.index("*/", place + 2) + 2]
    if first in "'\"`" and (quoted := _quoted(sql, place)):
        return quoted
    if first == "[" and not (place and (sql[place - 1].isalnum() or sql[place - 1] in "_])")):
        inside = re.match(r"\[[^\[\]]+\]", sql[place:])
        if inside:
            return inside[0]
    if first in "+/%^&|":
        end = place + 1
        while end < len(sql) and sql[end] in "+/@#%^&|-":
            end += 1
        return sql[place:end]
    if first.isalnum() or first == "_":
        more = "_" if place and sql[place - 1] == "." and not first.isdigit() else "_$#"
        end = place + 1
        while end < len(sql) and (sql[end].isalnum() or sql[end] in more):
            end += 1
        return sql[place:end]
    return first


def _quoted(sql: str, place: int) -> str:
    """The longest reading of a quoted token, in which doubled and escaped quotes do not end it."""
    quote, end, last = sql[place], place + 1, ""
    while end < len(sql):
        if sql[end] == quote and sql[end : end + 2] != quote * 2:
            return sql[place : end + 1]
        if sql[end] == "\\" and quote != "`" and sql[end + 1 : end + 2] == quote:
            last = sql[place : end + 2]
            end += 2
        else:
            end += 2 if sql[end] == quote else 1
    return last


def _same_denotation(one: Table, two: Table, ordered: bool) -> bool:
    if not one and not two:
        return True
    if len(one) != len(two) or len(one[0]) != len(two[0]):
        return False
    shuffled = [
        [tuple(sorted(row, key=lambda cell: f"{cell}{type(cell)}")) for row in rows] for rows in (one, two)
    ]
    if (shuffled[0] != shuffled[1]) if ordered else (set(shuffled[0]) != set(shuffled[1])):
        return False
    width = len(one[0])
    return any(
        _equal(one, [tuple(row[place] for place in order) for row in two], ordered)
        for order in product(range(width), repeat=width)
        if len(set(order)) == width
    )


def _equal(one: Table, two: Table, ordered: bool) -> bool:
    return one == two if ordered else Counter(one) == Counter(two)


def _soft_f1(got: Table, expected: Table) -> float:
    if not got and not expected:
        return 1.0
    got, expected = _distinct(got), _distinct(expected)
    true, only_got, only_expected = 0.0, 0.0, 0.0
    for place, row in enumerate(expected):
        if place >= len(got):
            only_expected += 1
            continue
        width = len(row)
        true += sum(cell in row for cell in got[place]) / width
        only_got += sum(cell not in row for cell in got[place]) / width
        only_expected += sum(cell not in got[place] for cell in row) / width
    for _ in range(len(got) - len(expected)):
        only_got += 1
    precision = true / (true + only_got) if true + only_got else 0.0
    recall = true / (true + only_expected) if true + only_expected else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _distinct(rows: Sequence[tuple[Any, ...]]) -> Table:
    kept: Table = []
    for row in rows:
        if row not in kept:
            kept.append(row)
    return kept
