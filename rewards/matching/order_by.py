"""Find the ORDER BY and LIMIT of a query's outermost SELECT in its text.

It uses a tokenizer that knows strings, quoted names, comments and brackets, and no parser. So it works for
every query that the engine runs, also with syntax that a parser would not know.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from tasks.databases.sql_text import only

_TOKENS = {
    "sqlite": r"""--[^\n]* | /\*.*?(?:\*/|\Z) | \s+ | (?P<quoted>'[^']*' | "[^"]*" | `[^`]*` | \[[^\]]*\])""",
    "duckdb": r"""--[^\n]* | /\*.*?(?:\*/|\Z) | \s+ | (?P<quoted>'[^']*' | "[^"]*" | \$(\w*)\$.*?\$\2\$)""",
    "postgres": r"""--[^\n]* | /\*.*?(?:\*/|\Z) | \s+
        | (?P<quoted>[eE]'(?:[^'\\]|\\.)*' | '[^']*' | "[^"]*" | \$(\w*)\$.*?\$\2\$)""",
    "mariadb": r"""--(?=\s|\Z)[^\n]* | \#[^\n]* | /\*.*?(?:\*/|\Z) | \s+
        | (?P<quoted>'(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `[^`]*`)""",
}
_REST = r""" | (?P<word>[^\W\d]\w*) | (?P<number>\d[\w.]*) | (?P<sign>.)"""
_LEXERS = {engine: re.compile(tokens + _REST, re.VERBOSE | re.DOTALL) for engine, tokens in _TOKENS.items()}
_STANDARD = frozenset({"LIMIT", "OFFSET", "FETCH"})
_LIMITS = {"sqlite": frozenset({"LIMIT"}), "duckdb": _STANDARD, "postgres": _STANDARD, "mariadb": _STANDARD}
_BODIES = frozenset(
    {"SELECT", "FROM", "VALUES", "TABLE", "PIVOT", "UNPIVOT", "DESCRIBE", "SUMMARIZE", "SHOW"}
)
_OFFSET_ENDS = frozenset({"LIMIT", "ROWS", "ROW", "FETCH"})
_DIRECTIONS = frozenset({"ASC", "DESC", "NULLS", "FIRST", "LAST"})


@dataclass(frozen=True, slots=True)
class Token:
    """A word in capitals, a sign, or a quoted text. ``depth``: how many brackets are open around it."""

    text: str
    start: int
    end: int
    depth: int


@dataclass(frozen=True, slots=True)
class OrderBy:
    """A query that orders its rows, split at its ORDER BY.

    ``offset``: how many rows are skipped; None where that is an expression (``offset_query``).
    """

    head: str
    """The text before ORDER BY."""
    terms: tuple[str, ...]
    tail: str
    """The closing brackets after it."""
    limited: bool
    offset: int | None
    place: int | None
    """The position in ``head`` at which further result columns can be inserted; None if there is none."""
    offset_query: str = ""
    """A query that returns the offset, where that is an expression."""

    def each(self, width: int, engine: str) -> OrderBy:
        """With ORDER BY ALL or ``*`` replaced by a term for each of ``width`` columns."""
        tokens = _tokens(self.terms[0], engine)
        if len(self.terms) > 1 or not tokens or tokens[0].text not in ("ALL", "*"):
            return self
        direction = self.terms[0][tokens[0].end :]
        return replace(self, terms=tuple([f"{place}{direction}" for place in range(1, width + 1)]))

    def by(self, tie_breakers: Sequence[str], limit: int | None = None, columns: Sequence[str] = ()) -> str:
        """The query with further columns and order terms, and with ``limit`` in place of its own LIMIT."""
        head = self.head
        if columns:
            head = f"{head[: self.place]}, {', '.join(columns)} {head[self.place :]}"
        rows = "" if limit is None else f" LIMIT {limit}"
        return f"{head} ORDER BY {', '.join((*self.terms, *tie_breakers))}{rows}{self.tail}"


@lru_cache(maxsize=16_384)
def find_order_by(sql: str, engine: str) -> OrderBy | None:
    """The ORDER BY of the outermost query; None where it has none."""
    sql = only(sql) or sql
    tokens = _tokens(sql, engine)
    if all(token.text != "ORDER" for token in tokens):
        return None
    order = _read(sql, tokens, _LIMITS[engine])
    if order and order.offset_query:
        return replace(order, offset_query=f"{_tables(sql, tokens)}SELECT {order.offset_query}")
    return order


def without_direction(term: str, engine: str) -> str:
    """An ORDER BY term without ASC, DESC and NULLS; "" where it has a COLLATE."""
    tokens = _tokens(term, engine)
    while tokens and tokens[-1].text in _DIRECTIONS:
        tokens.pop()
    while len(tokens) > 2 and tokens[0].text == "(" and _closing(tokens, 0) == len(tokens) - 1:
        tokens = tokens[1:-1]
    if not tokens or any(token.text == "COLLATE" for token in tokens):
        return ""
    return term[tokens[0].start : tokens[-1].end]


def _tokens(sql: str, engine: str) -> list[Token]:
    tokens: list[Token] = []
    depth = 0
    for match in _LEXERS[engine].finditer(sql):
        kind, text = match.lastgroup, match[0]
        if kind is None:
            continue
        if text in (")", "]", "}") and kind == "sign":
            depth -= 1
        tokens.append(Token(text.upper() if kind == "word" else text, match.start(), match.end(), depth))
        if text in ("(", "[", "{") and kind == "sign":
            depth += 1
    return tokens


def _read(sql: str, tokens: Sequence[Token], limits: frozenset[str]) -> OrderBy | None:
    """The ORDER BY of these tokens; if they are a query in brackets, the ORDER BY inside the brackets."""
    end = next(
        (i for i in range(len(tokens)) if not tokens[i].depth and tokens[i].text in limits), len(tokens)
    )
    outer = tokens[end:]
    by = max((i for i in range(1, end) if _is_order_by(tokens, i)), default=None)
    if by is not None:
        return _split_at(sql, tokens, by, end)
    start = _inside(tokens[:end])
    if start is None:
        return None
    shift = tokens[start].depth + 1
    inner = [Token(t.text, t.start, t.end, t.depth - shift) for t in tokens[start + 1 : end - 1]]
    order = _read(sql, inner, limits)
    if order is None:
        return None
    order = replace(order, tail=order.tail + ")")
    if not outer:
        return order
    offset, offset_query = (None, "") if order.limited else _offset(sql, outer)
    return replace(order, limited=True, offset=offset, offset_query=offset_query)


def _is_order_by(tokens: Sequence[Token], index: int) -> bool:
    here, before = tokens[index], tokens[index - 1]
    return here.text == "BY" and before.text == "ORDER" and here.depth == before.depth == 0


def _inside(tokens: Sequence[Token]) -> int | None:
    """The index of the bracket that encloses the whole query, after WITH; None where there is none."""
    if not tokens or tokens[-1].text != ")":
        return None
    start = max((i for i in range(len(tokens)) if tokens[i].text == "(" and not tokens[i].depth), default=0)
    if tokens[start].text != "(" or (start and tokens[0].text != "WITH"):
        return None
    return None if any(t.text in _BODIES and not t.depth for t in tokens[:start]) else start


def _split_at(sql: str, tokens: Sequence[Token], by: int, end: int) -> OrderBy:
    """The query split at its ORDER BY: BY is token ``by``, and the LIMIT, if any, begins at token ``end``."""
    order, first = tokens[by - 1], tokens[by].end
    terms, start = [], first
    for token in tokens[by + 1 : end]:
        if token.text == "," and not token.depth:
            terms.append(sql[start : token.start].strip())
            start = token.end
    terms.append(sql[start : tokens[end - 1].end].strip())
    tail = tokens[end:]
    offset, offset_query = _offset(sql, tail)
    place = _place(tokens[: by - 1], order.start)
    return OrderBy(sql[: order.start], tuple(terms), "", bool(tail), offset, place, offset_query)


def _place(tokens: Sequence[Token], end: int) -> int | None:
    """The position before FROM, or the end where there is no FROM; None in a compound query."""
    words = [token for token in tokens if not token.depth]
    selects = [index for index, token in enumerate(words) if token.text == "SELECT"]
    if len(selects) != 1:
        return None
    after = words[selects[0] :]
    return next(
        (
            token.start
            for before, token in pairwise(after)
            if token.text in ("FROM", "WHERE") and before.text != "DISTINCT"
        ),
        end,
    )


def _offset(sql: str, tail: Sequence[Token]) -> tuple[int | None, str]:
    """How many rows the text after ORDER BY skips: a number and "", or None and an expression."""
    level = [i for i, token in enumerate(tail) if not token.depth]
    where = next((i for i in level if tail[i].text == "OFFSET"), None)
    if where is None:
        comma = next((i for i in level if tail[i].text == ","), None)
        if comma is None:
            return 0, ""
        part = tail[1:comma]
    else:
        end = next((i for i in level if i > where and tail[i].text in _OFFSET_ENDS), len(tail))
        part = tail[where + 1 : end]
    numbers = [token.text for token in part if token.text not in ("(", ")")]
    if len(numbers) == 1 and numbers[0].isdecimal():
        return int(numbers[0]), ""
    return None, f"CAST({sql[part[0].start : part[-1].end]} AS BIGINT)" if part else ""


def _tables(sql: str, tokens: Sequence[Token]) -> str:
    """The WITH clause before the whole query."""
    if tokens[0].text != "WITH":
        return ""
    body = next((token for token in tokens if not token.depth and token.text in _BODIES), None)
    return sql[: body.start] if body else ""


def _closing(tokens: Sequence[Token], start: int) -> int:
    """The index of the bracket that closes the one at ``start``."""
    depth = tokens[start].depth
    return next(
        (i for i in range(start + 1, len(tokens)) if tokens[i].depth == depth and tokens[i].text == ")"), -1
    )
