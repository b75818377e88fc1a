"""Golds of datasets that give answers or results instead of SQL: queries that return them as they are.

The modes ``denotation`` and ``spider2`` compare with what such a query returns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tasks.common.errors import DataError
from tasks.databases.sql_text import literal, quote

ANSWER, CANONICAL = "value", "canonical"
"""The columns of a gold of answers; the second only where the dataset gives canonical forms."""
IN_ORDER = " ORDER BY column1"
"""The end of a query whose rows are expected in its order (``rewards.matching.spider2.is_ordered``)."""


def of_answers(answers: Any, canonical: Any, where: str) -> tuple[str, ...]:
    """The gold of a list of answers; none of an empty list.

    It returns a row for each, with the columns above. Raises DataError.
    """
    for values in (answers, canonical):
        if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
            raise DataError(f"{where}: the answers are a {type(values).__name__}, expected a list of texts")
    if canonical and len(canonical) != len(answers):
        raise DataError(f"{where}: {len(answers)} answers and {len(canonical)} canonical forms")
    if not answers:
        return ()
    names = (ANSWER, CANONICAL) if canonical else (ANSWER,)
    first, *rest = zip(answers, canonical, strict=True) if canonical else ((answer,) for answer in answers)
    named = [f"{_literal(text)} AS {name}" for text, name in zip(first, names, strict=True)]
    others = (f" UNION ALL SELECT {', '.join(map(_literal, row))}" for row in rest)
    return (f"SELECT {', '.join(named)}{''.join(others)}",)


def of_results(results: Any, where: str) -> tuple[str, ...]:
    """The golds of tables with ``columns``, ``rows`` and ``ordered``, for SQLite. Raises DataError."""
    try:
        return tuple(_query(table["columns"], table["rows"], table["ordered"]) for table in results or ())
    except (KeyError, TypeError) as error:
        raise DataError(f"{where}: a result needs columns, rows and ordered: {error}") from None


def _query(columns: Sequence[str], rows: Sequence[Sequence[str | None]], ordered: bool) -> str:
    if not rows:
        return f"SELECT {', '.join(f'NULL AS {quote(name)}' for name in columns)} WHERE 0"
    named = ", ".join(f"column{number} AS {quote(name)}" for number, name in enumerate(columns, 2))
    values = ", ".join(
        f"({', '.join([str(number), *map(_literal, row)])})" for number, row in enumerate(rows)
    )
    return f"SELECT {named} FROM (VALUES {values}){IN_ORDER if ordered else ''}"


def _literal(text: str | None) -> str:
    return "NULL" if text is None else literal(text)
