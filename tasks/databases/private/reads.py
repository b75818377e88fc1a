"""Whether a query reads what is private in its database, found by the engine without running the query."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from tasks.databases.private.roles import privacy_of
from tasks.databases.sql_text import split
from tasks.types import Database, Private

ReadsPrivate = Callable[[str], bool]


@contextmanager
def opened(database: Database) -> Iterator[ReadsPrivate]:
    """A function: whether a query reads private data. Raises DataError."""
    assert database.private
    with ExitStack() as stack:
        if database.engine == "duckdb":
            yield _duckdb(database, database.private, stack)
        elif database.engine == "sqlite":
            yield _sqlite(database, database.private, stack)
        else:
            yield stack.enter_context(privacy_of(database.engine).reads_private(database))


def _sqlite(database: Database, private: Private, stack: ExitStack) -> ReadsPrivate:
    from tasks.databases.engines.sqlite_open import open_instance
    from tasks.databases.engines.sqlite_private import WholeSchema

    whole_schema = stack.enter_context(closing(WholeSchema(private)))
    copy = stack.enter_context(closing(open_instance(database, 0)))

    def reads(sql: str) -> bool:
        statements = split(sql)
        if len(statements) != 1:
            return False
        if whole_schema.reads_private(statements[0]):
            return True
        try:
            copy.execute(f"EXPLAIN {statements[0]}").close()
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            return whole_schema.lacks(str(error))
        return False

    return reads


def _duckdb(database: Database, private: Private, stack: ExitStack) -> ReadsPrivate:
    import duckdb

    from tasks.databases.engines.duckdb import connect
    from tasks.databases.engines.duckdb_private import WholeSchema

    whole_schema = stack.enter_context(closing(WholeSchema(private)))
    copy = stack.enter_context(closing(connect(database, 0, 2**30)))

    def reads(sql: str) -> bool:
        try:
            single = len(copy.extract_statements(sql)) == 1
        except (duckdb.Error, UnicodeError):
            return False
        return single and whole_schema.reads_private(sql, copy)

    return reads
