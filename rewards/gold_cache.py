"""The gold cache: results of slow golds on disk, shared by all runs, in a folder of the scorer's version.

The name of a result's file is a digest of all that the result depends on: the content of the database, the
SQL, the engine's version and the limits. A file begins with a checksum, so that a damaged one is not used,
and is moved into place whole, so that concurrent writers do not disturb each other. Fast golds are not
cached, because they run as fast as a file is read; nor are golds that read the clock or random numbers.

The content of a database is hashed the first time that one of its golds is slow. That digest is cached in a
file too, named after the database's path and state on disk. Workers may not write files, so they return
new files to the parent process, which writes them.
"""

from __future__ import annotations

import hashlib
import marshal
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

from tasks.common import files
from tasks.common.errors import DataError
from tasks.databases.sandbox.executor import Executor
from tasks.databases.sql_text import volatile
from tasks.databases.state import database_files, database_state, file_of, on_server, stamped
from tasks.types import Database, Limits, Outcome, Status

SLOW = 0.1
"""Seconds from which on a gold is cached."""
LARGEST = 8 * 2**20
"""Bytes of the largest result that is cached."""
_CHECKSUM = 16
_BLOCK = 2**26

CacheFile = tuple[str, bytes]
"""Name and content of a file."""


class GoldCache:
    """A worker's view of the folder: it reads files, and collects new ones for the parent to write."""

    def __init__(self, folder: str, executor: Executor) -> None:
        """``folder`` "": nothing is cached."""
        self.new_files: list[CacheFile] = []
        self._folder = folder
        self._executor = executor

    def find(self, database: Database, instance: int, sql: str) -> Outcome | None:
        """The cached result of a gold; None where there is none."""
        digest_file = self._digest_file(database, instance)
        content = self._known_digest(digest_file) if digest_file else ""
        if not content or volatile(sql, database.engine):
            return None
        return read(self._folder, self._result_file(content, database, sql))

    def add(self, database: Database, instance: int, sql: str, outcome: Outcome) -> None:
        """Cache a result that was slow to compute, is not too large and does not change from run to run."""
        if not outcome.ok or outcome.seconds < SLOW or volatile(sql, database.engine):
            return
        digest_file = self._digest_file(database, instance)
        if not digest_file:
            return
        if outcome.undecodable:
            return  # marshal would have to keep lone surrogates
        if database.stamp and database.stamp != stamped(database).stamp:
            return  # a file has changed since: the content that gave this result is not known
        content = self._known_digest(digest_file) or self._hash(
            digest_file, database_files(file_of(database, instance), database.engine)
        )
        if len(body := _packed(outcome)) <= LARGEST:
            self.new_files.append((self._result_file(content, database, sql), _with_checksum(body)))

    def _result_file(self, content: str, database: Database, sql: str) -> str:
        return result_file(content, database.engine, sql, self._executor.limits)

    def _digest_file(self, database: Database, instance: int) -> str:
        """The name of the file with the database's digest; "" without a cache or database file.

        A database on a server may change at any time, so its results are not cached.

        Computed once for each stamp.
        """
        if not self._folder or not database.instances or on_server(database):
            return ""
        memo, key = self._executor.memo, (GoldCache, file_of(database, instance), database.stamp)
        name: str | None = memo.get(key) if database.stamp else None
        if name is None:
            name = _digest_file(database, instance)
            memo.put(key, name)
        return name

    def _known_digest(self, digest_file: str) -> str:
        """The database's digest, if this or an earlier run has computed it; else "". Reads the disk once."""
        memo = self._executor.memo
        digest: str | None = memo.get((GoldCache, digest_file))
        if digest is None and not memo.get((GoldCache, digest_file, "read")):
            memo.put((GoldCache, digest_file, "read"), True)
            content = _checked(self._folder, digest_file)
            digest = content.decode() if content else ""
            if digest:
                memo.put((GoldCache, digest_file), digest)
        return digest or ""

    def _hash(self, digest_file: str, paths: Iterable[Path]) -> str:
        """SHA-256 of the files. A heartbeat follows each block, so that this does not count as a hang."""
        sha = hashlib.sha256()
        for path in paths:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    self._executor.heartbeat.end()
                    sha.update(block)
        digest = sha.hexdigest()
        self._executor.memo.put((GoldCache, digest_file), digest)
        self.new_files.append((digest_file, _with_checksum(digest.encode())))
        return digest


def result_file(content: str, engine: str, sql: str, limits: Limits) -> str:
    """The name of the file with a gold's result. ``content``: the digest of its database."""
    release = sqlite3.sqlite_version if engine == "sqlite" else version(engine)
    return _name(content, engine, release, repr(limits), sql)


def read(folder: str, name: str) -> Outcome | None:
    """The result in a file; None where the file is missing or damaged."""
    body = _checked(folder, name)
    if body is None:
        return None
    columns, rows, seconds, steps, digest = marshal.loads(body)
    return Outcome(Status.OK, columns, rows, "", seconds, steps, digest)


def write(folder: str, new_files: Iterable[CacheFile]) -> None:
    """Write files. Where the disk is full or read-only nothing is cached, and the run goes on."""
    for name, content in new_files:
        path = Path(folder, name)
        with suppress(OSError, DataError):
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write(path, content, durable=False)


def _digest_file(database: Database, instance: int) -> str:
    """The name of the file with the database's digest; "" where the database is missing."""
    path = file_of(database, instance)
    try:
        return _name(str(path.resolve()), database_state(path, database.engine))
    except DataError:
        return ""


def _packed(outcome: Outcome) -> bytes:
    return marshal.dumps((outcome.columns, outcome.rows, outcome.seconds, outcome.steps, outcome.digest))


def _name(*parts: object) -> str:
    return blake2b(repr(parts).encode("utf-8", "surrogatepass"), digest_size=_CHECKSUM).hexdigest()


def _with_checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM).digest() + body


def _checked(folder: str, name: str) -> bytes | None:
    """The content of a file without its checksum; None where it is missing or damaged."""
    try:
        content = Path(folder, name).read_bytes()
    except OSError:
        return None
    body = content[_CHECKSUM:]
    return body if _with_checksum(body) == content else None
