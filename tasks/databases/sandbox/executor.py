"""Run queries inside a worker, with open databases, a cache for the caller, a heartbeat for the parent."""

from __future__ import annotations

import fcntl
import mmap
import struct
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from tasks.common.errors import DataError
from tasks.common.named_code import load_object
from tasks.databases.engines.session import OUT_OF_MEMORY, Allowance, ServerLost, Session
from tasks.databases.state import on_server
from tasks.types import Database, Limits, Outcome, Status

SESSIONS = {
    "sqlite": "tasks.databases.engines.sqlite:Session",
    "duckdb": "tasks.databases.engines.duckdb:Session",
    "postgres": "tasks.databases.engines.postgres:Session",
    "mariadb": "tasks.databases.engines.mariadb:Session",
}
"""Engine -> the class of its sessions."""
PRIVATE_SESSIONS = {engine: f"tasks.databases.engines.{engine}_private:PrivateSession" for engine in SESSIONS}
"""The same for databases with private data."""
NO_JOB = -1
NO_QUERY = bytes(16)
Key = tuple[str, str, str, bool]
"""Engine, file or DDL, state of the file (a changed file is opened again), whether it is for golds only."""
PATIENCE = 30.0
"""Seconds to wait for a server that is gone; the next query waits as long only if it has come back."""
_PAUSE = 0.2
_MAX_LOSSES = 8
"""Lost connections in one query after which it is left unscored."""
_MAX_CRASHES = 2
"""Connections lost in one query, by a server that was not started again, after which the query is the
cause. Where a crash ends the whole server, so many after which the query runs alone, and then so many."""
MAX_OPEN = 64
MAX_WEIGHT = 64 * 2**20
"""The most open sessions in one worker, and the most bytes that they may hold together."""


class Beat(NamedTuple):
    """What a worker is doing. ``since`` is 0.0 while it waits for a job."""

    since: float
    """``time.monotonic()`` (the same clock in all processes) when the query, or the work after it, began."""
    cpu: float
    """CPU seconds that the worker had used at that moment."""
    seconds: float
    """CPU seconds allowed for it."""
    digest: bytes
    """The digest of the query; NO_QUERY between queries."""
    job: int
    at_gold: bool
    """Whether the worker runs the gold rather than the answer."""


class Heartbeat:
    """Shared memory in which a worker reports what it is doing, since when, and how long that may take.

    The time is always written before the digest, so that a reader never sees a new digest with an old time.
    """

    _LAYOUT = struct.Struct("@ddd16sqq")
    _TIMES = struct.Struct("@ddd")
    _LONG = struct.Struct("@q")

    def __init__(self, file: int = -1, seconds: float = 0.0) -> None:
        self._memory = mmap.mmap(file, mmap.PAGESIZE)
        self._seconds = seconds
        """CPU seconds allowed between two queries."""
        self.at_gold = False
        self._LONG.pack_into(self._memory, 40, NO_JOB)

    def job(self, index: int) -> None:
        """Report that a job begins."""
        self.mark_gold(False)
        self.end()
        self._LONG.pack_into(self._memory, 40, index)

    def mark_gold(self, at_gold: bool) -> None:
        """Report whether the gold or the answer runs from now on."""
        self.at_gold = at_gold
        self._LONG.pack_into(self._memory, 48, at_gold)

    def begin(self, digest: bytes, seconds: float) -> None:
        """Report that a query begins, which may use ``seconds`` of CPU time."""
        self._TIMES.pack_into(self._memory, 0, time.monotonic(), time.process_time(), seconds)
        self._memory[24:40] = digest

    def end(self) -> None:
        """Report that the query has ended and the job goes on."""
        self._TIMES.pack_into(self._memory, 0, time.monotonic(), time.process_time(), self._seconds)
        self._memory[24:40] = NO_QUERY

    def rest(self) -> None:
        """Report that the worker waits for a job."""
        self._TIMES.pack_into(self._memory, 0, 0.0, 0.0, 0.0)

    def read(self) -> Beat:
        """The last report."""
        since, cpu, seconds, digest, job, at_gold = self._LAYOUT.unpack_from(self._memory)
        return Beat(since, cpu, seconds, digest, job, bool(at_gold))


class Memo:
    """A bounded LRU cache that lives as long as the worker.

    ``cost`` is in a unit of the caller's (cells, bytes). A value that costs over an eighth of the capacity is
    not cached.
    """

    def __init__(self, capacity: int = 2_000_000) -> None:
        self._capacity = capacity
        self._used = 0
        self._entries: OrderedDict[object, tuple[Any, int]] = OrderedDict()

    def get(self, key: object) -> Any:
        """The cached value, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: object, value: object, cost: int = 1) -> None:
        """Cache a value."""
        if cost > self._capacity // 8 or key in self._entries:
            return
        self._entries[key] = (value, cost)
        self._used += cost
        while self._used > self._capacity:
            self._used -= self._entries.popitem(last=False)[1][1]


class Executor:
    """Runs one query at a time on databases that it keeps open.

    A database without files is opened twice, so that no answer runs on the one of the golds (``mark_gold``).
    """

    def __init__(self, limits: Limits, heartbeat: Heartbeat | None = None) -> None:
        self.limits = limits
        self.heartbeat = heartbeat or Heartbeat()
        self.memo = Memo()
        self.fatal: dict[bytes, tuple[str, str]] = {}
        """Digests of queries that killed a worker -> (status, message). They are not run again."""
        self.spent = 0.0
        """CPU seconds of the last query; seconds of the clock on a server."""
        self._patience = PATIENCE
        self._full = Allowance(limits.seconds, limits.steps)
        self._sessions: OrderedDict[Key, Session] = OrderedDict()
        self._weight = 0

    def run(
        self,
        database: Database,
        instance: int,
        sql: str,
        allowance: Allowance | None = None,
        scope: str = "",
    ) -> Outcome:
        """Execute one statement on one instance. Never raises: rows and errors are in the outcome.

        ``allowance``: what is left of the limits. ``scope`` then separates this run from one with full
        limits, so that a deadline passed here does not count against the query elsewhere.
        The status is INFRASTRUCTURE only where the database is missing or a check of our own finds it broken.
        """
        key = (*database.key(instance), self.heartbeat.at_gold and not database.instances)
        text = "\0".join((*key[:-1], sql, scope)).encode(errors="surrogatepass")
        digest = blake2b(text, digest_size=16).digest()
        if known := self.fatal.get(digest):
            return Outcome(Status(known[0]), message=known[1])
        open_session = partial(self._session, key, database, instance)
        began = time.process_time()
        try:
            outcome = self._query(open_session, sql, allowance or self._full, digest)
            if outcome.message == OUT_OF_MEMORY and len(self._sessions) > 1:
                self.close()  # the memory of other databases must not decide a verdict
                outcome = self._query(open_session, sql, allowance or self._full, digest)
        except DataError as error:
            outcome = Outcome(Status.INFRASTRUCTURE, message=str(error))
        except MemoryError:
            outcome = Outcome(Status.MEMORY, message=OUT_OF_MEMORY)
        finally:
            self.heartbeat.end()
        self.spent = outcome.seconds if on_server(database) else time.process_time() - began
        if outcome.status is Status.MEMORY:
            self._forget(key)
        return outcome

    def _query(
        self, open_session: Callable[[], Session], sql: str, allowance: Allowance, digest: bytes
    ) -> Outcome:
        def attempt() -> Outcome:
            session = open_session()
            self.heartbeat.begin(digest, allowance.seconds)
            outcome = session.run(sql, allowance)
            if outcome.status is Status.INFRASTRUCTURE:
                self.heartbeat.end()
                if not session.broken():
                    return replace(outcome, status=Status.EXECUTION_ERROR)
            return outcome

        try:
            return attempt()
        except ServerLost as error:
            return self._after_loss(open_session, attempt, error)

    def _after_loss(
        self, open_session: Callable[[], Session], attempt: Callable[[], Outcome], error: ServerLost
    ) -> Outcome:
        """Run a query again whose server was lost, once it is back.

        The query fails where it is the cause of the losses. INFRASTRUCTURE: the server does not come back.
        """
        waited, crashes, alone = 0.0, 0, 0
        suspicions = int(error.crash)
        for _ in range(_MAX_LOSSES):
            self.close()  # the others are lost too, or take the place on a server that has no room
            while (session := self._reached(open_session)) is None:
                if waited >= self._patience:
                    self._patience = 0.0
                    return Outcome(Status.INFRASTRUCTURE, message=f"the server was lost: {error}")
                time.sleep(_PAUSE)
                waited += _PAUSE
            self._patience = PATIENCE
            crashes += bool(error.started) and error.started == session.started
            if crashes >= _MAX_CRASHES or alone >= _MAX_CRASHES:
                message = f"the server's process crashed twice while this ran: {error}"
                status = Status.INFRASTRUCTURE if self.heartbeat.at_gold else Status.EXECUTION_ERROR
                return Outcome(status, message=message)
            suspected = suspicions >= _MAX_CRASHES
            try:
                with self._alone() if suspected else nullcontext():
                    return attempt()
            except ServerLost as again:
                error = again
                suspicions += again.crash
                alone += suspected and again.crash
        return Outcome(Status.INFRASTRUCTURE, message=f"the server was lost {_MAX_LOSSES} times: {error}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock under which queries run, one at a time, that may have crashed a server."""
        with open(__file__, "rb") as file:
            while True:
                self.heartbeat.end()
                with suppress(BlockingIOError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(_PAUSE)
            yield

    def _reached(self, open_session: Callable[[], Session]) -> Session | None:
        """The session of a server that answers; None where it does not."""
        self.heartbeat.end()
        try:
            return open_session()
        except ServerLost:
            return None

    def close(self) -> None:
        """Close all databases."""
        for key in list(self._sessions):
            self._forget(key)

    def _session(self, key: Key, database: Database, instance: int) -> Session:
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return self._sessions[key]
        classes = PRIVATE_SESSIONS if database.private else SESSIONS
        session: Session = load_object(classes[database.engine])(database, instance, self.limits)
        self._sessions[key] = session
        self._weight += session.weight
        while len(self._sessions) > MAX_OPEN or (self._weight > MAX_WEIGHT and len(self._sessions) > 1):
            self._forget(next(iter(self._sessions)))
        return session

    def _forget(self, key: Key) -> None:
        session = self._sessions.pop(key, None)
        if session is not None:
            self._weight -= session.weight
            session.close()
