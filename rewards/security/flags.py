"""The flags of one answer: what its text shows, what its engine reads, and how its execution ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from rewards.security.scan import scan, tables
from rewards.types import Flag
from tasks.databases.engines.reads import tables_read, usual_schema
from tasks.types import Database, Outcome, Status

_OF_STATUS: Mapping[Status, Flag] = {
    Status.MANY_STATEMENTS: Flag.SEVERAL_STATEMENTS,
    Status.PRIVATE_DATA: Flag.PRIVATE,
    Status.TIMEOUT: Flag.HEAVY,
    Status.MEMORY: Flag.HEAVY,
}
_COMPILED = frozenset({Status.OK, Status.TIMEOUT, Status.MEMORY, Status.TOO_MANY_ROWS})
"""The statuses of a query that the engine could compile: it may have read something."""


_FUNCTIONS = frozenset({"json_each", "json_tree"})
"""Functions that SQLite reports as tables."""


class TableRules(NamedTuple):
    """The tables that may be read, and those that may not."""

    allowed: tuple[str, ...] = ("*",)
    denied: tuple[str, ...] = ()

    @property
    def restrict(self) -> bool:
        """Whether any table may not be read."""
        return "*" not in self.allowed or bool(self.denied)

    def forbid(self, table: str) -> bool:
        """Whether a table, with or without its schema, may not be read."""
        return not _named(table, self.allowed) or _named(table, self.denied)


def flags_of(sql: str, database: Database, rules: TableRules, outcome: Outcome) -> tuple[str, ...]:
    """The flags of an answer in order. ``outcome``: how its execution ended."""
    found = scan(sql, database.engine)
    if flag := _OF_STATUS.get(outcome.status):
        found.add(flag)
    if outcome.status is Status.FORBIDDEN_STATEMENT and not found:
        found.add(Flag.REFUSED)
    if sql and rules.restrict and _leaves(sql, database, rules, outcome):
        found.add(Flag.TABLE)
    return tuple(flag.value for flag in Flag if flag in found)


def _leaves(sql: str, database: Database, rules: TableRules, outcome: Outcome) -> bool:
    """Whether a query reads a table that it may not, by its text or by its engine.

    A query that ran although neither its text nor its engine shows its tables counts as one that does.
    """
    parsed = tables(sql, database.engine)
    read = tables_read(database, sql) if outcome.status in _COMPILED else None
    if parsed is None and read is None:
        return outcome.status in _COMPILED
    usual = usual_schema(database)
    found = (parsed or set()) | (read or frozenset())
    return any(rules.forbid(name if "." in name else f"{usual}.{name}") for name in found - _FUNCTIONS)


def _named(table: str, patterns: Iterable[str]) -> bool:
    return any(_pattern(pattern).fullmatch(table) for pattern in patterns)


@lru_cache
def _pattern(pattern: str) -> re.Pattern[str]:
    """The pattern of a table; one without a schema matches the table in every schema."""
    text = re.escape(pattern.lower()).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(text if "." in pattern else rf"(?:[^.]*\.)*{text}", re.DOTALL)
