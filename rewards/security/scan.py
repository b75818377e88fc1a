"""Scan the text of a query: what is not a plain read, by its tokens, comments and syntax tree."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope
from sqlglot.tokenizer_core import Token, TokenType

from rewards.security import rules
from rewards.structure.parse import parse, tokenize
from rewards.types import Flag
from tasks.databases.engines import postgres_text
from tasks.databases.engines.mariadb_text import folded
from tasks.databases.sql_text import split, unreadable

_QUOTED = frozenset({TokenType.IDENTIFIER})
_TEXTS = frozenset(
    token_type
    for token_type in TokenType
    if token_type.name.endswith("STRING") or token_type.name in ("HEREDOC_STRING", "STRING")
)
_FROM = frozenset({TokenType.FROM, TokenType.JOIN, TokenType.COMMA, TokenType.TABLE})
_VARIABLES = frozenset({TokenType.PARAMETER, TokenType.SESSION_PARAMETER})
"""The signs of MariaDB's variables, which keep values between queries."""
_MOST_FREE_JOINS = 3
"""Tables beyond the first that may be joined without any condition."""
_COMMENT = re.compile(
    r"""'(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z) | `[^`]*(?:`|\Z)
      | (?P<line>--[^\n]*) | (?P<block>/\*.*?(?:\*/|\Z))""",
    re.DOTALL | re.VERBOSE,
)
_WORD_CHARACTER = re.compile(r"\w")
_STACKED = re.compile(rf";\s*(?:select|with|{'|'.join(sorted(rules.WORDS))})\b", re.IGNORECASE)


def scan(sql: str, engine: str) -> set[Flag]:
    """The flags that the text of a query gets."""
    if not sql:
        return set()
    tokens = None if unreadable(sql) else tokenize(sql, engine)
    tricks = {Flag.COMMENT} if _has_trick(sql) else set()
    if tokens is None or (engine == "postgres" and _has_escapes(sql)):
        return {Flag.UNREADABLE} | tricks
    statements = [statement for statement in _statements(tokens) if statement]
    found = {flag for statement in statements for flag in _of_statement(statement, engine)}
    if len(statements) > 1 or len(split(sql)) > 1:
        found.add(Flag.SEVERAL_STATEMENTS)
    tree = parse(sql, engine)
    if tree is not None and _is_heavy(tree):
        found.add(Flag.HEAVY)
    return found | tricks


def _has_escapes(sql: str) -> bool:
    """Whether names or texts are written with escapes that only PostgreSQL's own scanner reads."""
    return any(token.kind == "unicode" for token in postgres_text.tokens(sql))


def tables(sql: str, engine: str) -> set[str] | None:
    """The tables of a query in lower case, without the names of its CTEs; None where it cannot be parsed."""
    tree = parse(sql, engine)
    if tree is None:
        return None
    try:
        found = [
            source
            for scope in traverse_scope(tree)
            for source in scope.sources.values()
            if isinstance(source, exp.Table)
        ]
    except Exception:  # sqlglot's errors on trees that it has parsed itself
        return None
    return {".".join(filter(None, (table.db, table.name))).lower() for table in found if table.name}


def _statements(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    statement: list[Token] = []
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            yield statement
            statement = []
        else:
            statement.append(token)
    yield statement


def _of_statement(tokens: Sequence[Token], engine: str) -> Iterator[Flag]:
    first = next((token for token in tokens if token.token_type is not TokenType.L_PAREN), None)
    if first and first.token_type not in _QUOTED | _TEXTS:
        yield from (flag for flag, words in rules.STATEMENTS.items() if first.text.lower() in words)
    words = [_plain(token) for token in tokens]
    for place, pair in enumerate(pairwise(words)):
        if pair in rules.PAIRS:
            yield rules.PAIRS[pair]
        if pair[0] == "into" and pair[1] not in ("outfile", "dumpfile") and not _is_target(words, place):
            yield Flag.WRITE
        if pair[0] == "update" and words[place + 2 : place + 3] == ["set"]:
            yield Flag.WRITE
    yield from _of_names(tokens, engine)
    yield from _of_files(tokens)


def _plain(token: Token) -> str:
    """A word outside quotes, in lower case; "" for other tokens."""
    return "" if token.token_type in _QUOTED | _TEXTS else token.text.lower()


def _is_target(words: Sequence[str], place: int) -> bool:
    """Whether INTO follows INSERT, REPLACE or MERGE, which have flags of their own."""
    return bool({"insert", "replace", "merge"} & set(words[max(0, place - 3) : place]))


def _of_names(tokens: Sequence[Token], engine: str) -> Iterator[Flag]:
    """The flags of called functions, and of names that tell of the catalogue or of settings."""
    for place, token in enumerate(tokens):
        if token.token_type in _TEXTS:
            continue
        if engine == "mariadb" and token.token_type in _VARIABLES:
            yield Flag.SETTINGS
        name = folded(token.text)
        called = _kind_at(tokens, place + 1) is TokenType.L_PAREN
        found = [
            flag
            for flag, calls, anywhere in rules.COMPILED.get(engine, rules.EVERY)
            if anywhere.fullmatch(name) or (called and calls.fullmatch(name))
        ]
        yield from [flag for flag in found if flag is not Flag.CATALOGUE] or found
        if called and rules.HEAVY.fullmatch(name) and _has_large(tokens, place + 1):
            yield Flag.HEAVY


def _kind_at(tokens: Sequence[Token], place: int) -> TokenType | None:
    return tokens[place].token_type if place < len(tokens) else None


def _has_large(tokens: Sequence[Token], start: int) -> bool:
    """Whether the arguments of a call, whose bracket is at ``start``, have a large number or product."""
    depth, product = 0, 1.0
    for token in tokens[start:]:
        depth += token.token_type is TokenType.L_PAREN
        depth -= token.token_type is TokenType.R_PAREN
        if not depth:
            break
        if token.token_type is TokenType.NUMBER:
            try:
                product *= max(1.0, float(token.text.replace("_", "")))
            except ValueError:
                product = float(rules.LARGE)
        elif token.token_type is TokenType.COMMA:
            product = 1.0
        if product >= rules.LARGE:
            return True
    return False


def _of_files(tokens: Sequence[Token]) -> Iterator[Flag]:
    """The flags of tables that are files or addresses: a text or a quoted name in the place of a table."""
    for before, token in pairwise(tokens):
        if before.token_type not in _FROM:
            continue
        is_text = token.token_type in _TEXTS and before.token_type is not TokenType.COMMA
        if token.token_type in _QUOTED | _TEXTS and rules.EXTERNAL.fullmatch(token.text):
            is_text = before.token_type is not TokenType.COMMA or token.token_type in _QUOTED
        if is_text:
            yield Flag.NETWORK if rules.REMOTE.fullmatch(token.text) else Flag.FILE


def _has_trick(sql: str) -> bool:
    """Whether a comment does more than explain.

    It is executed by some engines (``/*!``), nested, without an end, in the place of white space, ends at a
    carriage return in some engines only, or hides a further statement.
    """
    for match in _COMMENT.finditer(sql):
        block, line = match["block"], match["line"]
        if block and (
            block.startswith(("/*!", "/*M!", "/*+"))
            or "/*" in block[2:]
            or not (block.endswith("*/") and len(block) > 3)
            or (
                _WORD_CHARACTER.match(sql[match.start() - 1 : match.start()])
                and _WORD_CHARACTER.match(sql[match.end() : match.end() + 1])
            )
        ):
            return True
        if line and "\r" in line.rstrip("\r"):
            return True
        if (block or line) and _STACKED.search(block or line):
            return True
    return False


def _is_heavy(tree: exp.Expr) -> bool:
    """Whether a query multiplies tables without a condition, or recurs without an end."""
    for select in tree.find_all(exp.Select):
        joins = select.args.get("joins") or []
        free = [join for join in joins if not (join.args.get("on") or join.args.get("using") or join.method)]
        if len(free) >= _MOST_FREE_JOINS and not select.args.get("where"):
            return True
    for cte in tree.find_all(exp.CTE):
        query = cte.this
        recursive = isinstance(query, exp.SetOperation) and any(
            table.name.lower() == cte.alias.lower() for table in query.find_all(exp.Table)
        )
        if recursive and not _ends(query.expression, query):
            return True
    return False


def _ends(step: exp.Expr, query: exp.Expr) -> bool:
    """Whether the recursive part of a CTE has a condition, or the CTE a LIMIT."""
    bounds = ("where", "limit", "having")
    bounded = any(select.args.get(bound) for select in step.find_all(exp.Select) for bound in bounds)
    joined = any(join.args.get("on") or join.args.get("using") for join in step.find_all(exp.Join))
    return bool(query.args.get("limit")) or joined or bounded
