"""SQL text -> syntax tree, within bounds: what a model wrote may be long, deep or no SQL at all."""

from __future__ import annotations

import logging
import re
from functools import lru_cache

import sqlglot
from sqlglot import exp

LENGTH = 10_000
"""Longest SQL that is parsed, in characters."""
DEPTH = 40
"""Deepest nesting of parentheses that is parsed."""

_PARENTHESIS = re.compile(r"[()]")

logging.getLogger("sqlglot").setLevel(logging.ERROR)


@lru_cache(maxsize=1024)
def parse(sql: str, dialect: str) -> exp.Query | None:
    """The tree of one query, None where there is none within bounds. Callers do not change it."""
    if len(sql) > LENGTH or _depth(sql) > DEPTH:
        return None
    try:
        tree = sqlglot.parse_one(sql, read=dialect)
    except Exception:  # sqlglot's own errors, and its bugs on text that is no SQL
        return None
    return tree if isinstance(tree, exp.Query) else None


def _depth(sql: str) -> int:
    """Nesting of parentheses, those in strings included."""
    depth = deepest = 0
    for parenthesis in _PARENTHESIS.finditer(sql):
        depth += 1 if parenthesis[0] == "(" else -1
        deepest = max(deepest, depth)
    return deepest
