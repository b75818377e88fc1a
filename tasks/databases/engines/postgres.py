"""PostgreSQL: one connection to a database on a server, one query at a time, each in a transaction of its
own.

The guarantees. The role of the connection owns nothing, is no superuser and a member of nothing that could
harm (``postgres_open``); every query runs in a READ ONLY transaction at REPEATABLE READ that is rolled back,
which also takes back settings. The extended protocol takes a single statement. Before it is sent, its names
are read as the server's scanner reads them (``postgres_text``): only SELECT, WITH, VALUES and TABLE begin a
query, and the catalogue (``pg_...``) and functions with an effect (``pg_sleep``, ``set_config``, advisory
locks, large objects, ``dblink``, SQL in a string) are refused, because PUBLIC may call many of them.

Limits. The server stops a query after the allowed seconds (statement_timeout), this process cancels it a
little later, and its parent kills this process after that, which the server notices. These are seconds of the
clock, not of the CPU: a server that does other work may need longer. Rows arrive a few at a time, and a
connection whose result is too large is closed. What a query may use of the server's memory and disk is the
server's configuration (``work_mem``, ``temp_file_limit``; the embedded server has limits).

A lost connection raises ServerLost, and the query runs again (``sandbox.executor``).
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain, islice

import psycopg
from psycopg import pq
from psycopg.pq.abc import PGconn, PGresult

from tasks.databases.engines.postgres_cells import readers_of, result_rows
from tasks.databases.engines.postgres_open import Reader, connect_reader, lost
from tasks.databases.engines.session import FETCH, Allowance, ServerLost, collect, server_of
from tasks.databases.sql_text import quote, unreadable
from tasks.types import Database, Limits, Outcome, Row, Status

_LATE = 0.1
"""Seconds after the server's own timeout at which a query is cancelled from here."""
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {}"
_STATUSES = {
    "22P05": Status.EXECUTION_ERROR,
    "25006": Status.FORBIDDEN_STATEMENT,
    "42501": Status.FORBIDDEN_STATEMENT,
    "42601": Status.SYNTAX_ERROR,
    "53100": Status.MEMORY,
    "53200": Status.MEMORY,
    "53400": Status.MEMORY,
    "58030": Status.INFRASTRUCTURE,
    "58P01": Status.INFRASTRUCTURE,
    "XX001": Status.INFRASTRUCTURE,
    "XX002": Status.INFRASTRUCTURE,
}
"""Code of an error (PostgreSQL's appendix A) -> status. Others are execution errors."""
_BY_OTHERS = frozenset({"40001", "40P01", "55P03"})
"""Errors that only other sessions cause: a conflict, a deadlock, a lock that was not given."""
_CANCELLED = "57014"
_CRASH = "57P02"
_TOO_LONG = ("invalid memory alloc request size", "out of memory", "cannot allocate memory")
_LONGEST_MESSAGE = 500
_CHUNKED = 170000
"""The first libpq that hands out several rows at a time."""
_ROWS = (pq.ExecStatus.TUPLES_CHUNK, pq.ExecStatus.SINGLE_TUPLE, pq.ExecStatus.TUPLES_OK)


class Session:
    """A connection to an instance. ``weight``: so high that a worker keeps a few connections only."""

    weight = 4 * 2**20

    def __init__(self, database: Database, instance: int, limits: Limits) -> None:
        """Connect. Raises DataError; ServerLost: the server cannot be reached at the moment."""
        self._server = server_of(database, instance, "PostgreSQL")
        self._limits = limits
        self._crashed = False
        """Whether the server has reported that another session's crash ends this one."""
        self.started = ""
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
        except psycopg.Error as error:
            outcome = self._explained(reader, error, time.perf_counter() - start, allowance)
        except MemoryError:
            outcome = Outcome(Status.MEMORY, message="the result takes too much memory here")
        except (ValueError, ArithmeticError, RecursionError) as error:  # a value that Python cannot hold
            outcome = Outcome(Status.EXECUTION_ERROR, message=str(error)[:_LONGEST_MESSAGE])
        self._finish(reader)
        return replace(outcome, seconds=time.perf_counter() - start)

    def broken(self) -> str:
        """What a read of all tables finds broken; "" where it finds nothing in the time of a query."""
        end = time.perf_counter() + self._limits.seconds
        try:
            if self._reader is None:
                self._reader = self._connected()
            connection = self._reader.connection
            tables = connection.execute(
                "SELECT table_schema, table_name FROM information_schema.tables"
                " WHERE table_schema NOT IN ('pg_catalog', 'information_schema')"
            ).fetchall()
            connection.execute(f"SET statement_timeout = {round(self._limits.seconds * 1000)}")
            for schema, name in tables:
                if time.perf_counter() > end:
                    break
                connection.execute(f"SELECT count(t.*) FROM {quote(schema)}.{quote(name)} t".encode())
        except psycopg.Error as error:
            damaged = _STATUSES.get(error.sqlstate or "") is Status.INFRASTRUCTURE
            return str(error) if damaged or error.sqlstate is None else ""
        return ""

    def close(self) -> None:
        """Close the connection, which ends a query that still runs."""
        if self._reader:
            self._reader.connection.close()
        self._reader = None

    def _connected(self) -> Reader:
        self._crashed = False
        reader = connect_reader(self._server, self._limits.seconds)
        reader.connection.add_notice_handler(self._note)
        self.started = reader.started
        return reader

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        self._crashed |= notice.sqlstate == _CRASH

    def _execute(self, reader: Reader, sql: str, allowance: Allowance) -> Outcome:
        """The rows as plain cells, or the status with which they are refused."""
        milliseconds = max(1, round(allowance.seconds * 1000))
        reader.connection.execute(_BEGIN.format(milliseconds))
        deadline = time.monotonic() + allowance.seconds + _LATE
        results = _results(reader.connection.pgconn, sql, deadline)
        try:
            first = next(results)
        except _PastDeadline:
            return self._late(allowance)
        columns = tuple([(first.fname(place) or b"").decode() for place in range(first.nfields)])
        rows = _rows(first, results, reader.elements)
        try:
            return collect(lambda: list(islice(rows, FETCH)), columns, self._limits, allowance.distinct)
        except _PastDeadline:
            return self._late(allowance)

    def _late(self, allowance: Allowance) -> Outcome:
        """The outcome of a query that the server did not stop in time: its connection is given up."""
        assert self._reader
        self._reader.connection.cancel_safe(timeout=_LATE)
        self.close()
        return Outcome(Status.TIMEOUT, message=f"over {allowance.seconds:.3g} seconds")

    def _finish(self, reader: Reader) -> None:
        """End the transaction. A connection on which rows still arrive is closed."""
        if self._reader is None:
            return
        if reader.connection.pgconn.transaction_status == pq.TransactionStatus.ACTIVE:
            self.close()
            return
        try:
            reader.connection.execute("ROLLBACK")
        except psycopg.Error:
            self.close()  # the next query connects again

    def _explained(
        self, reader: Reader, error: psycopg.Error, seconds: float, allowance: Allowance
    ) -> Outcome:
        """The outcome of an error. Raises ServerLost: the query is not its cause, or the connection is
        gone."""
        message = " ".join(str(error).split())[:_LONGEST_MESSAGE]
        state = error.sqlstate or ""
        if any(text in message for text in _TOO_LONG):
            self._close_if_lost(reader)
            return Outcome(Status.MEMORY, message=message)
        if lost(reader.connection):
            started = "" if self._crashed else reader.started
            self.close()
            raise ServerLost(f"{self._server}: {message}", started)
        if state in _BY_OTHERS or (state == _CANCELLED and seconds < 0.9 * allowance.seconds):
            self.close()
            raise ServerLost(f"{self._server}: {message}")
        if state == _CANCELLED:
            return Outcome(Status.TIMEOUT, message=f"over {allowance.seconds:.3g} seconds")
        return Outcome(_STATUSES.get(state, Status.EXECUTION_ERROR), message=message)

    def _close_if_lost(self, reader: Reader) -> None:
        if lost(reader.connection):
            self.close()


class _PastDeadline(Exception):
    """The server did not stop the query at its timeout."""


def _results(connection: PGconn, sql: str, deadline: float) -> Iterator[PGresult]:
    """The results of one statement, each with some rows, then one without rows. Raises psycopg.Error."""
    connection.send_query_params(sql.encode(), None)
    if pq.version() >= _CHUNKED:
        connection.set_chunked_rows_mode(FETCH)
    else:
        connection.set_single_row_mode()
    while True:
        while connection.is_busy():
            left = deadline - time.monotonic()
            if left <= 0:
                raise _PastDeadline
            if select.select([connection.socket], [], [], left)[0]:
                connection.consume_input()
        result = connection.get_result()
        if result is None:
            return
        if result.status in _ROWS:
            yield result
        else:
            while connection.get_result() is not None:
                pass
            raise psycopg.errors.error_from_result(result)


def _rows(first: PGresult, others: Iterator[PGresult], elements: Mapping[int, int]) -> Iterator[Row]:
    """The rows of all results as plain cells."""
    readers = readers_of(first, elements)
    for result in chain([first], others):
        yield from result_rows(result, readers)
