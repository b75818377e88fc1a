"""DuckDB with private data: queries run on copies without it, and those that would read it are refused.

DuckDB binds each query on a database in memory with the whole schema and no rows, and on the copy. It would
read private data if only the first binds, if the two results have other columns or types (``*``,
``COLUMNS(*)``, a whole row), or if the plan of the first scans a private column. Whatever these miss reads
the copy, which holds nothing private.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from tasks.databases.engines.duckdb import Session, connect
from tasks.databases.engines.session import Allowance
from tasks.databases.engines.sqlite_private import REFUSED
from tasks.types import Database, Limits, Outcome, Private, Status

_MEMORY = 2**28
_CATALOGUE = "memory."
_NOT_RUN = frozenset(
    {Status.SYNTAX_ERROR, Status.NO_SQL, Status.MANY_STATEMENTS, Status.FORBIDDEN_STATEMENT, Status.MEMORY}
)
"""The statuses of a text that was not run, or took the memory."""


class WholeSchema:
    """The whole schema of a database, without rows. Queries are bound on it and never run."""

    def __init__(self, private: Private, memory: int = _MEMORY) -> None:
        self._hidden = private.hidden
        schema = Database("schema", "duckdb", ddl=";\n".join(private.schema))
        self._connection = connect(schema, 0, memory)

    def reads_private(self, sql: str, copy: duckdb.DuckDBPyConnection) -> bool:
        """Whether DuckDB finds a read of private data in one query."""
        whole = described(self._connection, sql)
        if whole is None:
            return False
        return whole != described(copy, sql) or any(
            (table, column) in self._hidden or (table, "") in self._hidden
            for table, column in self._scanned(sql)
        )

    def close(self) -> None:
        """Close the schema."""
        self._connection.close()

    def _scanned(self, sql: str) -> Iterator[tuple[str, str]]:
        """The tables and columns that the plan scans, in lower case."""
        with self._connection.cursor() as cursor:
            try:
                plans = cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}").fetchall()
            except (duckdb.Error, RuntimeError, UnicodeError):
                return
        for _, text in plans:
            for node in _nodes(json.loads(text)):
                found = node.get("extra_info") or {}
                table = str(found.get("Table", "")).lower().removeprefix(_CATALOGUE)
                columns = found.get("Projections") or []
                for column in [columns] if isinstance(columns, str) else columns:
                    yield table, str(column).lower()
                if table:
                    yield table, ""


def _nodes(plan: Any) -> Iterator[dict[str, Any]]:
    for node in plan if isinstance(plan, list) else [plan]:
        yield node
        yield from _nodes(node.get("children", []))


def described(connection: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[str, str]] | None:
    """The names and types of a query's columns; None where it does not bind."""
    with connection.cursor() as cursor:
        try:
            rows = cursor.execute(f"DESCRIBE {sql}").fetchall()
        except (duckdb.Error, RuntimeError, UnicodeError):
            return None
    return [(name, kind) for name, kind, *_ in rows]


class PrivateSession(Session):
    """One instance, which is a copy, with the whole_schema of its source."""

    weight = 2 * Session.weight

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        assert database.private
        super().__init__(database, instance, limits)
        self._whole_schema = WholeSchema(database.private)

    def run(self, sql: str, allowance: Allowance) -> Outcome:
        """Execute one statement on the copy; its outcome is a refusal where it would read private data."""
        outcome = super().run(sql, allowance)
        if outcome.status in _NOT_RUN:
            return outcome
        if self._connection is None:
            self._connection = self._open()
        private = self._whole_schema.reads_private(sql, self._connection)
        return Outcome(Status.PRIVATE_DATA, message=REFUSED) if private else outcome
