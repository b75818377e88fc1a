"""Results of slow golds, kept on disk between runs, a file each, in a folder of the scorer's version.

A file is named by all that the result depends on: digest of the database's content, SQL, engine version and
limits. It begins with a digest of its own, so that a damaged one is not read, and it is moved into place
whole, so that writers do not meet. A fast gold runs as quickly as its file is read, and one that asks the
clock or chance changes: neither is kept. A database is first digested when one of its golds was slow; the
digest is kept too, under the file's place and state on disk, so that it is read through only once.
Workers may not write: they hand what is worth keeping to the parent.
"""

from __future__ import annotations

import hashlib
import marshal
import re
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

from tasks.common import files
from tasks.common.errors import DataError
from tasks.databases.sandbox.executor import Executor
from tasks.databases.state import database_files, database_state, stamped
from tasks.databases.volatile import volatile
from tasks.types import Database, Limits, Outcome, Status

SLOW = 0.1
"""Seconds from which on a gold is worth keeping."""
LARGEST = 8 * 2**20
"""Bytes of the largest result that is kept."""
_DIGEST = 16
_BLOCK = 2**26
_CHANGES = re.compile(r"random|now|current_|today|uuid", re.IGNORECASE)

Kept = tuple[str, bytes]
"""Name and content of a file."""


class Shelf:
    """A worker's view of the folder. ``kept``: the files that the parent is to write."""

    def __init__(self, folder: str, executor: Executor) -> None:
        self.kept: list[Kept] = []
        self._folder = folder
        self._executor = executor

    def find(self, database: Database, instance: int, sql: str) -> Outcome | None:
        """What the gold returned in an earlier run, where that is kept."""
        place = self._placed(database, instance)
        content = self._known(place) if place else ""
        if not content or _changes(sql, database):
            return None
        return read(self._folder, self._name(content, database, sql))

    def keep(self, database: Database, instance: int, sql: str, outcome: Outcome) -> None:
        """Note an outcome that is slow to come by, not too large, and the same at any time."""
        if not outcome.ok or outcome.seconds < SLOW or _changes(sql, database):
            return
        place = self._placed(database, instance)
        if not place:
            return
        if outcome.undecodable:
            return  # lone surrogates would have to be kept too
        if database.stamp and database.stamp != stamped(database).stamp:
            return  # a file has changed since: of which content this is the result, nobody knows
        content = self._known(place) or self._digested(
            place, database_files(database.instances[instance], database.engine)
        )
        if len(body := _packed(outcome)) <= LARGEST:
            self.kept.append((self._name(content, database, sql), _sealed(body)))

    def _name(self, content: str, database: Database, sql: str) -> str:
        return name_of(content, database.engine, sql, self._executor.limits)

    def _placed(self, database: Database, instance: int) -> str:
        """The name under which a file's digest is kept; "" where nothing is. Found once for each stamp."""
        if not self._folder or not database.instances:
            return ""
        memo, key = self._executor.memo, (Shelf, database.instances[instance], database.stamp)
        place: str | None = memo.get(key) if database.stamp else None
        if place is None:
            place = _place(database, instance)
            memo.put(key, place)
        return place

    def _known(self, place: str) -> str:
        """The content's digest, if this or an earlier run has found it out; else "". Asks the disk once."""
        memo = self._executor.memo
        content: str | None = memo.get((Shelf, place))
        if content is None and not memo.get((Shelf, place, "asked")):
            memo.put((Shelf, place, "asked"), True)
            kept = _unsealed(self._folder, place)
            content = kept.decode() if kept else ""
            if content:
                memo.put((Shelf, place), content)
        return content or ""

    def _digested(self, place: str, paths: Iterable[Path]) -> str:
        """SHA-256 of the files. Each block is a sign of life: the deadline is not for this."""
        digest = hashlib.sha256()
        for path in paths:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    self._executor.heartbeat.end()
                    digest.update(block)
        content = digest.hexdigest()
        self._executor.memo.put((Shelf, place), content)
        self.kept.append((place, _sealed(content.encode())))
        return content


def name_of(content: str, engine: str, sql: str, limits: Limits) -> str:
    """The name of a gold's file. ``content``: the digest of its database."""
    release = sqlite3.sqlite_version if engine == "sqlite" else version(engine)
    return _named(content, engine, release, repr(limits), sql)


def read(folder: str, name: str) -> Outcome | None:
    """The kept outcome, None where there is none that is whole."""
    body = _unsealed(folder, name)
    if body is None:
        return None
    columns, rows, seconds, steps, digest = marshal.loads(body)
    return Outcome(Status.OK, columns, rows, "", seconds, steps, digest)


def write(folder: str, kept: Iterable[Kept]) -> None:
    """Keep files. A disk that is full or not writable costs time later, not this run."""
    for name, content in kept:
        place = Path(folder, name)
        with suppress(OSError, DataError):
            place.parent.mkdir(parents=True, exist_ok=True)
            files.write(place, content, durable=False)


def _changes(sql: str, database: Database) -> bool:
    """Whether the query may return other rows at another time."""
    return bool(_CHANGES.search(sql)) or volatile(sql, database.engine)


def _place(database: Database, instance: int) -> str:
    """The name under which a file's digest is kept; "" where there is no file."""
    if not database.instances:
        return ""
    path = database.instances[instance]
    try:
        return _named(str(path.resolve()), database_state(path, database.engine))
    except DataError:
        return ""


def _packed(outcome: Outcome) -> bytes:
    return marshal.dumps((outcome.columns, outcome.rows, outcome.seconds, outcome.steps, outcome.digest))


def _named(*what: object) -> str:
    return blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()


def _sealed(body: bytes) -> bytes:
    return blake2b(body, digest_size=_DIGEST).digest() + body


def _unsealed(folder: str, name: str) -> bytes | None:
    try:
        content = Path(folder, name).read_bytes()
    except OSError:
        return None
    body = content[_DIGEST:]
    return body if _sealed(body) == content else None
