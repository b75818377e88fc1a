"""A connection to MariaDB on which every answer of the server comes before a deadline, and within a size.

PyMySQL's own timeouts hold for each read of the socket, so a server that sends a little now and then would
never be late. What this file uses of PyMySQL's internals (version 1.2) is used here only.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pymysql
from pymysql.connections import Connection as _Connection

from tasks.databases.engines.mariadb_cells import Field, cells_of, readers_of
from tasks.types import Row

_RESET = 0x1F
"""COM_RESET_CONNECTION: rolls back, and takes back settings, variables, locks and prepared statements."""
_SOON = 0.01
RawRow = Sequence[bytes | None]


class PastDeadline(Exception):
    """The server did not answer before the deadline. The connection is closed."""


class Rows(NamedTuple):
    """All rows of a query of our own."""

    rows: list[Row]

    def fetchall(self) -> list[Row]:
        """The rows."""
        return self.rows


class Connection(_Connection):
    """A connection whose values arrive as bytes. ``most``: bytes of the largest row."""

    deadline = math.inf
    most: float = math.inf
    _left = math.inf

    def until(self, deadline: float) -> None:
        """Set the time (``time.monotonic()``) until which the server must have answered."""
        self.deadline = deadline
        left = max(_SOON, deadline - time.monotonic()) if deadline < math.inf else None
        self._read_timeout = self._write_timeout = left

    def send(self, sql: str) -> tuple[list[Field], Iterator[RawRow]]:
        """Send a statement; the columns of its result and the rows as they arrive.

        Raises pymysql.Error, PastDeadline; MemoryError: a row has more than ``most`` bytes.
        """
        self._left = self.most
        self.query(sql, unbuffered=True)
        result = self._result
        return getattr(result, "fields", []), self._arriving(result)

    def _arriving(self, result: Any) -> Iterator[RawRow]:
        while result.unbuffered_active:
            self._left = self.most
            row = result._read_rowdata_packet_unbuffered()
            if row is not None:
                yield row

    @property
    def warnings(self) -> int:
        """How many warnings the statement had whose rows have all arrived."""
        return int(getattr(self._result, "warning_count", 0) or 0)

    @property
    def is_sending(self) -> bool:
        """Whether rows of a result are still to come."""
        return bool(getattr(self._result, "unbuffered_active", False))

    def execute(self, sql: str, arguments: Sequence[str | int] = ()) -> Rows:
        """Run a statement of our own; ``%s`` stands for an argument."""
        text = sql % tuple(map(self.escape, arguments)) if arguments else sql
        fields, arriving = self.send(text)
        readers = readers_of(fields, frozenset())
        return Rows([cells_of(row, readers) for row in arriving])

    def reset(self) -> None:
        """Take back everything that was done on this connection. Raises pymysql.Error, PastDeadline."""
        self._execute_command(_RESET, b"")
        self._read_ok_packet()

    def close(self) -> None:
        """Close it, also while rows arrive. May be called twice."""
        if self._result is not None:
            self._result.unbuffered_active = False  # else it would read the rest
        if self.open:
            super().close()

    def _read_bytes(self, num_bytes: int) -> bytes:
        self._left -= num_bytes
        if self._left < 0:
            raise MemoryError
        if time.monotonic() > self.deadline:
            self._force_close()
            raise PastDeadline
        try:
            data: bytes = super()._read_bytes(num_bytes)
        except pymysql.OperationalError as error:
            if isinstance(error.__context__, TimeoutError):
                raise PastDeadline from None
            raise
        return data
