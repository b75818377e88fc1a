"""The interface of every engine, and how an engine collects the rows of a result."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple, Protocol

from tasks.common.errors import DataError
from tasks.types import Database, Limits, Outcome, Row, Server, Status

OUT_OF_MEMORY = "out of memory"
"""The message of a failed allocation. It is the only failure that may depend on other open databases."""
FETCH = 64
"""Rows that are fetched at a time."""


class ServerLost(Exception):
    """A server cannot be reached, or the connection to it was lost; it may be back soon.

    ``started``: the server's start while the query ran, "" where another cause than the query is known. If
    the same query loses its connection again and the server was not started in between, the query is the
    cause. ``crash``: the server may have crashed as a whole, by this query or by another one.
    """

    def __init__(self, message: str, started: str = "", crash: bool = False) -> None:
        super().__init__(message)
        self.started = started
        self.crash = crash


class Allowance(NamedTuple):
    """What one run may use: seconds of CPU time, and steps where the engine counts them."""

    seconds: float
    steps: int
    distinct: bool = False
    """Keep each row once, at its first place; only kept rows count for the limits."""


class Session(Protocol):
    """One open instance of a database."""

    weight: int
    started: str
    """When the server was started; "" without a server."""

    def run(self, sql: str, allowance: Allowance) -> Outcome:
        """Execute one statement. The status is INFRASTRUCTURE if the engine reports a broken file.

        Raises ServerLost.
        """

    def broken(self) -> str:
        """Inspect the database and return what is wrong with it; "" if it is intact."""

    def close(self) -> None: ...


def collect(
    fetch: Callable[[], list[Row]], columns: tuple[str, ...], limits: Limits, distinct: bool = False
) -> Outcome:
    """Return all rows with their digest, or the status by which they are refused as too many or too large.

    ``fetch`` returns the next FETCH rows as plain tuples. ``distinct``: keep each row once, at its first
    place; two rows are the same where Python's ``==`` says so. The digest is taken of marshal's version 2,
    which writes equal bytes for equal cells of equal types, and only for those.
    """
    most = min(limits.rows, limits.cells // max(len(columns), 1))
    rows: list[Row] = []
    size, digest = 0, blake2b(digest_size=16)
    for chunk in _distinct(fetch) if distinct else _chunks(fetch):
        rows += chunk
        content = marshal.dumps(chunk, 2)
        size += len(content)
        digest.update(content)
        if len(rows) > most:
            return Outcome(Status.TOO_MANY_ROWS, message=f"over {most} rows of {len(columns)} columns")
        if size > limits.bytes:
            return Outcome(Status.MEMORY, message=f"over {limits.bytes} bytes of result")
    return Outcome(Status.OK, columns, tuple(rows), digest=digest.digest())


def _chunks(fetch: Callable[[], list[Row]]) -> Iterator[list[Row]]:
    while chunk := fetch():
        yield chunk
        if len(chunk) < FETCH:
            break


def _distinct(fetch: Callable[[], list[Row]]) -> Iterator[list[Row]]:
    """Yield from each chunk the rows that no earlier chunk had."""
    seen: dict[Row, None] = {}
    for chunk in _chunks(fetch):
        before = len(seen)
        seen.update(dict.fromkeys(chunk))
        if fresh := list(islice(reversed(seen), len(seen) - before)):
            yield fresh[::-1]


def server_of(database: Database, instance: int, engine: str) -> Server:
    """The place of an instance on a server. Raises DataError: the database is DDL, which no server runs."""
    if not database.instances:
        raise DataError(f"database {database.id}: DDL is not run on {engine}: set databases.url")
    server = database.instances[instance]
    assert isinstance(server, Server)
    return server
