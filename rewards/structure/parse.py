"""Parse SQL into a syntax tree, within bounds: a model's text may be long, deeply nested or not SQL."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.tokenizer_core import Token, TokenType

from tasks.databases.sql_text import MAX_CHARACTERS, only

MAX_TOKENS = 4_000
"""Longest SQL that is parsed, in tokens. Comments do not count."""
MAX_DEPTH = 12
"""Deepest nesting of brackets and CASE that is parsed: twice what queries of Spider and BIRD need. The parser
backtracks, and each level can double or triple its work."""
STRUCT_WEIGHT = 4
"""How many levels a bracket of a struct type counts as: the parser tries each in four ways."""
MAX_NODES = 500
MAX_NODES_PER_TOKEN = 8
"""The parser may make MAX_NODES nodes and so many more for each token. Queries of Spider and BIRD need 2."""

_OPENS = frozenset({TokenType.L_PAREN, TokenType.L_BRACKET, TokenType.L_BRACE})
_STRUCTS = frozenset({TokenType.STRUCT, TokenType.OBJECT, TokenType.NESTED, TokenType.UNION})
_CLOSES = frozenset({TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.R_BRACE})
_QUERIES = (exp.Query, exp.Values, exp.Pivot)
_AFFINITIES = (
    (("INT",), "INTEGER"),
    (("CHAR", "CLOB", "TEXT"), "TEXT"),
    (("BLOB",), "BLOB"),
    (("REAL", "FLOA", "DOUB"), "REAL"),
)

_NAMES = {"mariadb": "mysql"}
"""Engine -> the dialect that sqlglot has for it, where the names differ."""
_logger = logging.getLogger("sqlglot")


@lru_cache(maxsize=1024)
def parse(sql: str, dialect: str) -> exp.Query | None:
    """The tree of one query; None where the text is not one query within bounds. Callers must not change it.

    Semicolons around the query and comments are ignored. VALUES and DuckDB's PIVOT are parsed as a SELECT
    from them. A type in CAST that only SQLite has is read as the type of its affinity.
    """
    statement = only(sql)
    tree = _parse(statement, dialect)
    if tree is None and dialect == "sqlite" and " " in statement:
        known = _with_known_types(statement)
        tree = _parse(known, dialect) if known != statement else None
    if tree is None or isinstance(tree, exp.Query):
        return tree
    wrapped = _parse(f"SELECT * FROM ({statement})", dialect)
    return wrapped if isinstance(wrapped, exp.Query) else None


def _parse(sql: str, dialect: str) -> exp.Expr | None:
    """The tree of one statement as sqlglot parses it."""
    tokens = tokenize(sql, dialect)
    if not tokens or len(tokens) > MAX_TOKENS or not _shallow(tokens):
        return None
    parser = _language(dialect).parser_class(
        dialect=_language(dialect), max_nodes=MAX_NODES + MAX_NODES_PER_TOKEN * len(tokens)
    )

    def is_error(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR

    _logger.addFilter(is_error)  # it warns about syntax that it cannot parse
    try:
        trees = parser.parse(tokens, sql)
    except Exception:  # sqlglot's errors, and its bugs on text that is not SQL
        return None
    finally:
        _logger.removeFilter(is_error)
    return trees[0] if len(trees) == 1 and isinstance(trees[0], _QUERIES) else None


def tokenize(sql: str, dialect: str) -> list[Token] | None:
    """The tokens of a text; None where it cannot be tokenized. Takes time linear in its length."""
    if len(sql) > MAX_CHARACTERS:
        return None
    try:
        tokens: list[Token] = _tokenizer(dialect).tokenize(sql)
    except Exception:
        return None
    return tokens


@lru_cache
def _language(dialect: str) -> Any:
    return Dialect.get_or_raise(_NAMES.get(dialect, dialect))


@lru_cache
def _tokenizer(dialect: str) -> Any:
    """The dialect's tokenizer, cached because making one takes as long as using it."""
    return _language(dialect).tokenizer()


def _shallow(tokens: Sequence[Token]) -> bool:
    """Whether brackets are balanced and, counted with CASE, nested at most MAX_DEPTH deep."""
    opened: list[int] = []
    depth = cases = 0
    before = None
    for token in tokens:
        token_type = token.token_type
        if token_type in _OPENS:
            opened.append(STRUCT_WEIGHT if before in _STRUCTS else 1)
            depth += opened[-1]
        elif token_type in _CLOSES:
            if not opened:
                return False
            depth -= opened.pop()
        elif token_type is TokenType.CASE:
            cases += 1
        elif token_type is TokenType.END and cases:
            cases -= 1
        if depth + cases > MAX_DEPTH:
            return False
        before = token_type
    return not opened


def _with_known_types(sql: str) -> str:
    """The text with each type name of several words in a CAST replaced by its affinity."""
    tokens = tokenize(sql, "sqlite") or []
    parts, done = [], 0
    for index, token in enumerate(tokens):
        if token.token_type is not TokenType.ALIAS:
            continue
        words = []
        for word in tokens[index + 1 :]:
            if not word.text.isidentifier():
                break
            words.append(word)
        end = index + 1 + len(words)
        if len(words) > 1 and end < len(tokens) and tokens[end].token_type in (*_OPENS, *_CLOSES):
            parts += [sql[done : words[0].start], _affinity(" ".join(word.text for word in words))]
            done = words[-1].end + 1
    return "".join([*parts, sql[done:]])


def _affinity(declared: str) -> str:
    """The affinity of a declared type. Source: sqlite.org/datatype3.html, section 3.1."""
    name = declared.upper()
    return next((known for parts, known in _AFFINITIES if any(part in name for part in parts)), "NUMERIC")
