"""SQLite with private data: queries run on copies without it, and those that would read it are refused.

SQLite compiles each query on a database in memory with the whole schema and no rows, where an authorizer
refuses to read what is private. SQLite does not ask it about columns that only ``USING`` or ``NATURAL`` name,
so the compiled program is searched too. The copy holds nothing private, so that a query that both miss has
nothing to find.
"""

from __future__ import annotations

import re
import sqlite3

from tasks.databases.engines.session import Allowance
from tasks.databases.engines.sqlite import Session
from tasks.databases.engines.sqlite_open import harden
from tasks.databases.sql_text import first_word, quote, split, unreadable
from tasks.types import Database, Limits, Outcome, Private, Status

REFUSED = "the query reads private data"
"""The message of a refusal. It names no table or column: the model must not learn their names."""
_READERS = frozenset({"SELECT", "WITH", "VALUES"})
_UNKNOWN = re.compile(r"(?:no such (?:column|table): |cannot join using column )(.*?)(?: - .*)?", re.DOTALL)


class WholeSchema:
    """The whole schema of a database, without rows. Queries are compiled on it and never run."""

    def __init__(self, private: Private, limits: Limits | None = None) -> None:
        self._hidden = private.hidden
        self._names = {name for place in private.hidden for name in place if name}
        self._touched = False
        self._compiled = False
        self._connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)
        for statement in private.schema:
            self._connection.execute(statement)
        self._private_columns = self._numbered()
        harden(self._connection, limits or Limits())
        self._connection.set_authorizer(self._authorize)

    def reads_private(self, sql: str) -> bool:
        """Whether SQLite finds a read of private data in one query. False where it cannot compile it."""
        self._touched = self._compiled = False
        try:
            program = self._connection.execute(f"EXPLAIN {sql}").fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError, MemoryError):
            return self._touched
        self._compiled = True
        opened = {(row[2], row[3]) for row in program if row[1] == "OpenRead"}
        read = {(row[2], row[3]) for row in program if row[1] == "Column"}
        return any(
            (cursor, column) in read
            for cursor, page in opened
            for column in self._private_columns.get(page, ())
        )

    def lacks(self, message: str) -> bool:
        """Whether the last query fails on the copy with this error only because it names private data."""
        match = _UNKNOWN.fullmatch(message)
        return bool(
            self._compiled and match and match[1].rpartition(".")[2].strip('"`[]').lower() in self._names
        )

    def close(self) -> None:
        """Close the schema."""
        self._connection.close()

    def _numbered(self) -> dict[int, list[int]]:
        """The first page of each table -> the places of its private columns."""
        pages = self._connection.execute("SELECT rootpage, name FROM sqlite_master WHERE type = 'table'")
        return {
            page: [
                place
                for place, column, *_ in self._connection.execute(f"PRAGMA table_info({quote(name)})")
                if (name.lower(), column.lower()) in self._hidden
            ]
            for page, name in pages.fetchall()
        }

    def _authorize(self, action: int, first: str | None, second: str | None, *_: object) -> int:
        if action != sqlite3.SQLITE_READ:
            return sqlite3.SQLITE_OK
        table, column = (first or "").lower(), (second or "").lower()
        if (table, "") in self._hidden or (table, column) in self._hidden:
            self._touched = True
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK


class PrivateSession:
    """One instance, which is a copy, with the whole_schema of its source."""

    started = ""

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        assert database.private
        self._session = Session(database, instance, limits)
        self._whole_schema = WholeSchema(database.private, limits)
        self.weight = self._session.weight + 2**20

    def run(self, sql: str, allowance: Allowance) -> Outcome:
        """Execute one statement, or refuse it where it reads private data."""
        statements = [] if unreadable(sql) else split(sql)
        if (
            len(statements) == 1
            and first_word(statements[0]) in _READERS
            and self._whole_schema.reads_private(statements[0])
        ):
            return Outcome(Status.PRIVATE_DATA, message=REFUSED)
        outcome = self._session.run(sql, allowance)
        if outcome.status is Status.EXECUTION_ERROR and self._whole_schema.lacks(outcome.message):
            return Outcome(Status.PRIVATE_DATA, message=REFUSED)
        return outcome

    def broken(self) -> str:
        """What SQLite's own check finds wrong with the copy."""
        return self._session.broken()

    def close(self) -> None:
        """Close both databases."""
        self._session.close()
        self._whole_schema.close()
