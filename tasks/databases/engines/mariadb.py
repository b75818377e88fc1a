"""MariaDB: one connection to a database on a server, one query at a time, each in a transaction of its own.

The guarantees. The account of the connection has SELECT on databases of the user's only (``mariadb_open``);
every query runs in a READ ONLY transaction, and the connection is reset after it, which takes back variables,
settings, locks and temporary tables. The client asks for single statements, and sends no local files.
Before a text is sent, it is read as the server's lexer reads it (``mariadb_text``): only SELECT, WITH and
VALUES begin a query; INTO, locks, variables, functions that wait or reach files, comments that the server
executes, the server's own schemas and functions that were added to it are refused.

Limits. The server stops a query after the allowed seconds (max_statement_time), a second connection kills it
(KILL QUERY) a little later, and the parent kills this process after that. These are seconds of the clock.
Rows arrive one at a time, and a connection whose result is too large is closed. A value that the server has
cut, because it was larger than a packet, is refused. A query may use _MEMORY bytes of the server's memory and
as much of its disk.

Settings that change values are the same on every server: UTC, no digits lost in a division (``DIVISION``),
no end of a recursion after 1000 rounds. A lost connection raises ServerLost, and the query runs again
(``sandbox.executor``). MySQL 8 has other names for two of these settings (_LIMITS) and no limit of memory.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice

import pymysql

from tasks.common.errors import DataError
from tasks.databases.engines.mariadb_cells import DIVISION, readers_of, rows_of
from tasks.databases.engines.mariadb_connection import Connection, PastDeadline
from tasks.databases.engines.mariadb_open import LOST, SQL_MODE, Reader, connect, connect_reader, is_mariadb
from tasks.databases.engines.session import FETCH, Allowance, ServerLost, collect, server_of
from tasks.databases.sql_text import quote, unreadable
from tasks.types import Database, Limits, Outcome, Status

_LATE = 0.1
"""Seconds after the server's own timeout at which a query is killed from here."""
_KILL_SECONDS = 0.5
_MEMORY = 2**30
_LONGEST_TEXT = 2**26
"""Bytes of the longest text of a GROUP_CONCAT."""
_SETTINGS = (
    f"SET SESSION sql_mode = '{SQL_MODE}', time_zone = '+00:00', autocommit = 1, lock_wait_timeout = 5,"
    f" div_precision_increment = {DIVISION}, group_concat_max_len = {_LONGEST_TEXT},"
    " collation_connection = {collation}, "
)
_LIMITS = {
    True: f"max_statement_time = {{seconds}}, max_session_mem_used = {_MEMORY},"
    f" tmp_disk_table_size = {_MEMORY}, max_recursive_iterations = 4294967295, join_cache_level = 0",
    False: "max_execution_time = {milliseconds}, cte_max_recursion_depth = 4294967295,"
    " optimizer_switch = 'block_nested_loop=off'",
}
"""Whether the server is MariaDB -> further settings. Without join buffers the server sees at each row whether
it must stop, else after all rows in the buffer."""
_BEGIN = "START TRANSACTION READ ONLY"
_TIMEOUTS = frozenset({1969, 3024})
_BY_OTHERS = frozenset({1020, 1205, 1213, 1317, 1412})
"""Errors that only other sessions cause: a changed row or table, a lock, a deadlock, a KILL QUERY."""
_CUT = frozenset({1260, 1301})
"""Warnings that a value was cut, or left out because it was too long."""
_STATUSES = {
    1034: Status.INFRASTRUCTURE,
    1035: Status.INFRASTRUCTURE,
    1194: Status.INFRASTRUCTURE,
    1712: Status.INFRASTRUCTURE,
    1877: Status.INFRASTRUCTURE,
    1932: Status.INFRASTRUCTURE,
    1044: Status.FORBIDDEN_STATEMENT,
    1045: Status.FORBIDDEN_STATEMENT,
    1142: Status.FORBIDDEN_STATEMENT,
    1143: Status.FORBIDDEN_STATEMENT,
    1227: Status.FORBIDDEN_STATEMENT,
    1370: Status.FORBIDDEN_STATEMENT,
    1792: Status.FORBIDDEN_STATEMENT,
    1064: Status.SYNTAX_ERROR,
    1021: Status.MEMORY,
    1037: Status.MEMORY,
    1038: Status.MEMORY,
    1041: Status.MEMORY,
    1114: Status.MEMORY,
    1153: Status.MEMORY,
    1290: Status.MEMORY,
}
"""Number of an error -> status. Others are execution errors. A query gets 1290 for too much memory only."""
_LONGEST_MESSAGE = 500


class Session:
    """A connection to an instance. ``weight``: so high that a worker keeps a few connections only."""

    weight = 4 * 2**20
    started = ""
    """Not known: a query that crashes the server ends the whole of it (``ServerLost.crash``)."""

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        """Connect. Raises DataError; ServerLost: the server cannot be reached at the moment."""
        self._server = server_of(database, instance, "MariaDB")
        self._limits = limits
        self._reader: Reader | None = self._connected()

    def run(self, sql: str, allowance: Allowance) -> Outcome:
        """Execute one statement. An error in it becomes the outcome's status and message.

        Raises ServerLost: the connection was lost. DataError: it had to be made again and cannot be.
        """
        if why := unreadable(sql):
            return Outcome(Status.SYNTAX_ERROR, message=why)
        if self._reader is None:
            self._reader = self._connected()
        reader = self._reader
        if refusal := reader.refused.refusal(sql):
            return refusal
        start = time.perf_counter()
        try:
            outcome = self._execute(reader, sql, allowance)
        except PastDeadline:
            outcome = self._late(reader.connection, allowance)
        except pymysql.Error as error:
            outcome = self._explained(reader, error, allowance)
        except MemoryError:
            outcome = Outcome(Status.MEMORY, message="a row takes too much memory here")
            self.close()
        except (ValueError, ArithmeticError, RecursionError) as error:  # a value that Python cannot hold
            outcome = Outcome(Status.EXECUTION_ERROR, message=str(error)[:_LONGEST_MESSAGE])
            self.close()
        self._finish(reader.connection)
        return replace(outcome, seconds=time.perf_counter() - start)

    def broken(self) -> str:
        """What a read of all tables finds broken; "" where it finds nothing in the time of a query."""
        end = time.perf_counter() + self._limits.seconds
        try:
            connection = connect(self._server, self._limits.seconds)
        except (DataError, ServerLost) as error:
            return str(error)
        try:
            connection.until(time.monotonic() + self._limits.seconds)
            tables = connection.execute("SHOW TABLES").fetchall()
            found = (_damage(connection, str(name)) for (name,) in tables if time.perf_counter() <= end)
            return next(filter(None, found), "")
        except (pymysql.Error, PastDeadline):
            return ""
        finally:
            connection.close()

    def close(self) -> None:
        """Close the connection, also while rows arrive."""
        if self._reader:
            self._reader.connection.close()
        self._reader = None

    def _connected(self) -> Reader:
        return connect_reader(self._server, self._limits.seconds)

    def _execute(self, reader: Reader, sql: str, allowance: Allowance) -> Outcome:
        """The rows as plain cells, or the status with which they are refused."""
        connection = reader.connection
        connection.until(time.monotonic() + allowance.seconds + _LATE)
        connection.most = 2 * self._limits.bytes
        connection.execute(_settings(reader, allowance.seconds))
        connection.execute(_BEGIN)
        fields, arriving = connection.send(sql)
        columns = tuple([str(field.name) for field in fields])
        rows = rows_of(arriving, readers_of(fields, reader.json_columns))
        outcome = collect(lambda: list(islice(rows, FETCH)), columns, self._limits, allowance.distinct)
        if outcome.ok and connection.warnings:
            for _, code, message in connection.execute("SHOW WARNINGS").fetchall():
                if code in _CUT:
                    return Outcome(Status.MEMORY, message=str(message))
        return outcome

    def _late(self, connection: Connection, allowance: Allowance) -> Outcome:
        """The outcome of a query that the server did not stop in time: it is killed.

        Raises ServerLost: the server does not answer at all, so the query is not the cause.
        """
        number = connection.thread_id()
        self.close()
        killer = connect(self._server, _KILL_SECONDS)
        try:
            killer.until(time.monotonic() + _KILL_SECONDS)
            killer.execute(f"KILL QUERY {number}")
        except (pymysql.Error, PastDeadline):
            pass  # it has ended
        finally:
            killer.close()
        return Outcome(Status.TIMEOUT, message=f"over {allowance.seconds:.3g} seconds")

    def _finish(self, connection: Connection) -> None:
        """Reset the connection, which ends the transaction. One on which rows still arrive is closed."""
        if self._reader is None:
            return
        if connection.is_sending:
            self.close()
            return
        try:
            connection.until(time.monotonic() + self._limits.seconds)
            connection.reset()
        except (pymysql.Error, PastDeadline):
            self.close()  # the next query connects again

    def _explained(self, reader: Reader, error: pymysql.Error, allowance: Allowance) -> Outcome:
        """The outcome of an error. Raises ServerLost: the query is not its cause, or the connection is
        gone."""
        code = error.args[0] if error.args else 0
        message = " ".join(str(error.args[-1] if error.args else error).split())[:_LONGEST_MESSAGE]
        if code in _TIMEOUTS:
            return Outcome(Status.TIMEOUT, message=f"over {allowance.seconds:.3g} seconds")
        if code in LOST or not reader.connection.open:
            self.close()
            raise ServerLost(f"{self._server}: {message}", crash=code == 2013)
        if code in _BY_OTHERS:
            self.close()
            raise ServerLost(f"{self._server}: {message}")
        return Outcome(_STATUSES.get(code, Status.EXECUTION_ERROR), message=message)


def _damage(connection: Connection, table: str) -> str:
    """What the server finds broken when it reads a table; "" where it finds nothing, or may not read it."""
    try:
        connection.execute(f"SELECT COUNT(*) FROM {quote(table)}")
    except pymysql.Error as error:
        if _STATUSES.get(error.args[0] if error.args else 0) is Status.INFRASTRUCTURE:
            return str(error)
        if not connection.open:
            raise
    return ""


def _settings(reader: Reader, seconds: float) -> str:
    """The statement that sets up the connection for one query."""
    limits = _LIMITS[is_mariadb(reader.connection)]
    text = _SETTINGS.format(collation=reader.collation)
    return text + limits.format(
        seconds=max(0.001, round(seconds, 3)), milliseconds=max(1, round(seconds * 1000))
    )
