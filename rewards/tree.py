"""SQL text -> syntax tree, within bounds: what a model wrote may be long, deep or no SQL at all."""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

LENGTH = 10_000
"""Longest SQL that is parsed, in characters."""
DEPTH = 40
"""Deepest nesting of parentheses that is parsed."""
MOVES = 20_000
"""Most moves of a parser from token to token: it goes back and tries again, on hostile text 2^n times."""

_PARENTHESIS = re.compile(r"[()]")

logging.getLogger("sqlglot").setLevel(logging.ERROR)


@lru_cache(maxsize=1024)
def parse(sql: str, dialect: str) -> exp.Query | None:
    """The tree of one query, None where there is none within bounds. Callers do not change it."""
    if len(sql) > LENGTH or _depth(sql) > DEPTH:
        return None
    try:
        parser = _parser(dialect)(dialect=_language(dialect), max_nodes=MOVES)
        trees = parser.parse(_tokenizer(dialect).tokenize(sql), sql)
    except Exception:  # sqlglot's own errors, and its bugs on text that is no SQL
        return None
    return trees[0] if len(trees) == 1 and isinstance(trees[0], exp.Query) else None


@lru_cache
def _language(dialect: str) -> Any:
    return Dialect.get_or_raise(dialect)


@lru_cache
def _tokenizer(dialect: str) -> Any:
    """The dialect's tokenizer: to make one takes as long as to use it."""
    return _language(dialect).tokenizer()


@lru_cache
def _parser(dialect: str) -> Any:
    """The dialect's parser, with a bound on its moves."""
    base: Any = _language(dialect).parser_class
    if not hasattr(base._advance, "__code__"):  # sqlglot[c]: compiled classes cannot be derived from
        return base

    class Bounded(base):  # type: ignore[misc]
        moves = 0

        def _advance(self, times: int = 1) -> None:
            self.moves += 1
            if self.moves > MOVES:
                raise OverflowError(f"over {MOVES} moves")
            super()._advance(times)

    return Bounded


def _depth(sql: str) -> int:
    """Nesting of parentheses, those in strings included."""
    depth = deepest = 0
    for parenthesis in _PARENTHESIS.finditer(sql):
        depth += 1 if parenthesis[0] == "(" else -1
        deepest = max(deepest, depth)
    return deepest
