"""What runs queries in a worker: open databases, a cache for callers, a heartbeat for the parent."""

from __future__ import annotations

import mmap
import struct
import time
from collections import OrderedDict
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from tasks.errors import DataError
from tasks.types import Database, Limits, Outcome, Status

SESSIONS = {"sqlite": "tasks.databases.sqlite:Session", "duckdb": "tasks.databases.duckdb:Session"}
"""Engine -> the class that opens it."""
NO_JOB = -1
NO_QUERY = bytes(16)
Key = tuple[str, Path | str, str]
"""Engine, file or DDL, and state of the file: a file that has changed is opened anew."""
MOST_OPEN = 64
MOST_WEIGHT = 64 * 2**20
"""Open sessions in one worker, and the bytes they may hold together."""


class Session(Protocol):
    """One open instance of a database."""

    weight: int

    def run(self, sql: str) -> Outcome: ...

    def close(self) -> None: ...


def load(where: str) -> Any:
    """What ``module:name`` names."""
    module, _, name = where.partition(":")
    return getattr(import_module(module), name)


class Heartbeat:
    """Shared memory in which a worker says what it is at, and since when.

    ``beat`` is the ``time.monotonic()`` (one clock for all processes) at which the current query, or the
    job's work between queries, began; 0.0 while it waits. ``digest`` is NO_QUERY between queries. The time is
    always written first: whoever sees something new sees that it is fresh.
    """

    LAYOUT = struct.Struct("@d16sq")
    _BEAT = struct.Struct("@d")
    _JOB = struct.Struct("@q")

    def __init__(self, file: int = -1) -> None:
        self._memory = mmap.mmap(file, mmap.PAGESIZE)
        self._JOB.pack_into(self._memory, 24, NO_JOB)

    def job(self, index: int) -> None:
        """A new job begins."""
        self.end()
        self._JOB.pack_into(self._memory, 24, index)

    def begin(self, digest: bytes) -> None:
        """A query begins."""
        self._BEAT.pack_into(self._memory, 0, time.monotonic())
        self._memory[8:24] = digest

    def end(self) -> None:
        """The query is over, the job goes on."""
        self._BEAT.pack_into(self._memory, 0, time.monotonic())
        self._memory[8:24] = NO_QUERY

    def rest(self) -> None:
        """Nothing is being done until the next job."""
        self._BEAT.pack_into(self._memory, 0, 0.0)

    def read(self) -> tuple[float, bytes, int]:
        """``(beat, digest, job)``."""
        beat, digest, job = self.LAYOUT.unpack_from(self._memory)
        return beat, digest, job


class Memo:
    """A bounded cache that lives as long as the worker: the least recently used leaves first.

    ``cost`` is in any unit of the caller's (cells, bytes); what costs over an eighth of the room is not kept.
    """

    def __init__(self, room: int = 2_000_000) -> None:
        self._room = room
        self._used = 0
        self._entries: OrderedDict[object, tuple[Any, int]] = OrderedDict()

    def get(self, key: object) -> Any:
        """The kept value, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: object, value: object, cost: int = 1) -> None:
        """Keep a value."""
        if cost > self._room // 8 or key in self._entries:
            return
        self._entries[key] = (value, cost)
        self._used += cost
        while self._used > self._room:
            self._used -= self._entries.popitem(last=False)[1][1]


class Executor:
    """Runs one query at a time on databases that it keeps open."""

    def __init__(self, limits: Limits, heartbeat: Heartbeat | None = None) -> None:
        self.limits = limits
        self.heartbeat = heartbeat or Heartbeat()
        self.memo = Memo()
        self.deadly: dict[bytes, tuple[str, str]] = {}
        """Queries that cost a worker its life -> (status, message): they are not tried again."""
        self._sessions: OrderedDict[Key, Session] = OrderedDict()
        self._weight = 0

    def run(self, database: Database, instance: int, sql: str) -> Outcome:
        """Execute one statement on one instance. Never raises; rows and reasons are in the outcome.

        INFRASTRUCTURE: the database is missing or broken. All else is the query's doing.
        """
        key = database.key(instance)
        text = "\0".join([*map(str, key), sql]).encode(errors="surrogatepass")
        digest = blake2b(text, digest_size=16).digest()
        if known := self.deadly.get(digest):
            return Outcome(Status(known[0]), message=known[1])
        try:
            session = self._session(database, instance, key)
            self.heartbeat.begin(digest)
            outcome = session.run(sql)
        except DataError as error:
            outcome = Outcome(Status.INFRASTRUCTURE, message=str(error))
        except MemoryError:
            outcome = Outcome(Status.MEMORY, message="out of memory")
        finally:
            self.heartbeat.end()
        if outcome.status is Status.MEMORY:
            self._forget(key)
        return outcome

    def close(self) -> None:
        """Close all databases."""
        for key in list(self._sessions):
            self._forget(key)

    def _session(self, database: Database, instance: int, key: Key) -> Session:
        if key in self._sessions:
            self._sessions.move_to_end(key)
            return self._sessions[key]
        session: Session = load(SESSIONS[database.engine])(database, instance, self.limits)
        self._sessions[key] = session
        self._weight += session.weight
        while len(self._sessions) > MOST_OPEN or (self._weight > MOST_WEIGHT and len(self._sessions) > 1):
            self._forget(next(iter(self._sessions)))
        return session

    def _forget(self, key: Key) -> None:
        session = self._sessions.pop(key, None)
        if session is not None:
            self._weight -= session.weight
            session.close()
