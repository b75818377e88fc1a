"""DuckDB, read-only and locked: one open instance of a database, one SELECT at a time.

The file is opened read-only with ``enable_external_access=false`` (no files, no network, no ATTACH, no
COPY), no temporary files, no extensions, no Python variables, one thread, a memory limit, and the
configuration is locked.
DuckDB's own parser says how many statements there are and of what kind: only SELECT runs, which to DuckDB are
also ``FROM t``, ``TABLE t``, ``PIVOT``, ``DESCRIBE``, ``SUMMARIZE`` and ``SHOW``. A PIVOT without a list of
values is a MULTI: it first collects them in a temporary type. There is no budget of steps and no clock in
here: the parent kills the worker at the deadline.
Cells become plain by the rules of ``tasks.databases.duckdb_cells``.
"""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import duckdb

from tasks.databases.collect import collect
from tasks.databases.duckdb_cells import execute
from tasks.databases.statements import first_word, unreadable
from tasks.errors import DataError
from tasks.types import Database, Limits, Outcome, Status

_STATUSES: dict[type[Exception], Status] = {
    MemoryError: Status.MEMORY,
    duckdb.OutOfMemoryException: Status.MEMORY,
    duckdb.ParserException: Status.SYNTAX_ERROR,
    UnicodeError: Status.SYNTAX_ERROR,
    duckdb.PermissionException: Status.FORBIDDEN_STATEMENT,
    duckdb.IOException: Status.INFRASTRUCTURE,
}
"""What an error of the engine says of the query; any other is an execution error."""
_QUERIES = frozenset(
    {"SELECT", "WITH", "VALUES", "FROM", "TABLE", "PIVOT", "UNPIVOT", "DESCRIBE", "SUMMARIZE", "SHOW"}
)
"""First words of the statements that may be a MULTI."""
_OPTIONS = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "temp_directory": "",
    "threads": "1",
}


class Session:
    """One open instance of a DuckDB database. ``weight``: bytes it holds while idle, about."""

    weight = 16 * 2**20

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        """Open the file, or build ``database.ddl`` in memory. Raises DataError: missing, corrupt, bad DDL."""
        self._limits = limits
        self._open = partial(connect, database, instance, limits.memory // 2)
        self._connection = self._open()

    def run(self, sql: str) -> Outcome:
        """Execute one statement. Never raises: whatever goes wrong is the outcome's status and message."""
        if why := unreadable(sql):
            return Outcome(Status.SYNTAX_ERROR, message=why)
        start = time.perf_counter()
        fatal = False
        with self._connection.cursor() as cursor:
            try:
                outcome = _refusal(cursor, sql) or self._execute(cursor, sql)
            except (duckdb.Error, MemoryError, RuntimeError, ValueError, OverflowError) as error:
                outcome = _explained(error)
                fatal = isinstance(error, (duckdb.FatalException, duckdb.InternalException))
        if fatal:  # DuckDB answers nothing more on a database that met an error of its own
            self._connection.close()
            self._connection = self._open()
        return replace(outcome, seconds=time.perf_counter() - start)

    def close(self) -> None:
        """Give back the file and its memory."""
        self._connection.close()

    def _execute(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> Outcome:
        """All rows, as plain cells, or why they are refused."""
        columns, fetch = execute(cursor, sql)
        return collect(fetch, columns, self._limits)


def connect(database: Database, instance: int, memory: int) -> duckdb.DuckDBPyConnection:
    """A locked connection to an instance; ``memory`` in bytes. Raises DataError in one line."""
    options: dict[str, str | bool | int | float | list[str]] = {
        **_OPTIONS,
        "memory_limit": f"{memory // 2**20}MiB",
    }
    path = database.instances[instance] if database.instances else None
    if path is not None and not path.is_file():
        raise DataError(f"{path}: no such database file")
    try:
        connection = duckdb.connect(str(path or ":memory:"), read_only=path is not None, config=options)
        if path is None:
            connection.execute(database.ddl)
        connection.execute("SET lock_configuration = true")
    except (duckdb.Error, RuntimeError) as error:
        where = path or f"database {database.id}: its DDL"
        raise DataError(f"{where}: not a readable DuckDB database: {_line(error)}") from None
    return connection


def _refusal(cursor: duckdb.DuckDBPyConnection, sql: str) -> Outcome | None:
    """Why a text is not run; None for one SELECT."""
    statements = cursor.extract_statements(sql)
    if not statements:
        return Outcome(Status.NO_SQL)
    if len(statements) > 1:
        return Outcome(Status.MANY_STATEMENTS, message=f"{len(statements)} statements")
    kind = statements[0].type
    if kind == duckdb.StatementType.SELECT:
        return None
    word = first_word(sql.replace("(", " ")) if kind == duckdb.StatementType.MULTI else ""
    if word in _QUERIES:
        return None
    return Outcome(Status.FORBIDDEN_STATEMENT, message=f"{word or kind.name} is not allowed")


def _explained(error: Exception) -> Outcome:
    status = next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), None)
    return Outcome(status or Status.EXECUTION_ERROR, message=_line(error))


def _line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:500]
