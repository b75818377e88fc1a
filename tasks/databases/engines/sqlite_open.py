"""Open SQLite databases: files, read-only, and schemas that exist as DDL only.

A file opened with ``immutable=1`` does not show the changes in a write-ahead log beside it, so a query would
silently run on old rows. Without ``immutable=1``, SQLite would write files beside the user's database. So a
write-ahead log is read into memory with its database, and a hot journal is refused. Format: https://sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tasks.common.errors import DataError
from tasks.common.files import state
from tasks.databases.sql_text import quote
from tasks.databases.state import companions, file_of
from tasks.types import Database, Limits

LARGEST = 128 * 2**20
"""Bytes of the largest database, and of the largest log, that is read into memory."""
_JOURNAL = bytes.fromhex("d9d505f920a163d7")
_LOG = 0x377F0682
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_READS = 3

Sums = tuple[int, int]

DANGEROUS = re.compile(
    "load_extension|fts3_tokenizer|fts5|optimize|rtreecheck|sqlite_log|readfile|writefile|edit|eval",
    re.IGNORECASE,
)
"""Functions with effects outside the query; some exist only in other builds of SQLite."""
_STRAY = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8, in a text that ``lossless`` decoded."""
_BOUNDS = {
    sqlite3.SQLITE_LIMIT_COLUMN: 2000,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 1000,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 500,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 5_000_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 127,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 100,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


def open_instance(database: Database, instance: int) -> sqlite3.Connection:
    """A connection to an instance's file, or to the database that ``ddl`` builds. Raises DataError."""
    return open_file(file_of(database, instance)) if database.instances else build(database)


def open_trusted(database: Database) -> sqlite3.Connection:
    """A connection to the first instance for our own use: bytes that are not UTF-8 become U+FFFD.

    Raises DataError.
    """
    connection = open_instance(database, 0)
    connection.text_factory = lambda text: text.decode(errors="replace")
    return connection


def open_file(path: Path) -> sqlite3.Connection:
    """A read-only connection to a database file. Raises DataError: it is missing or cannot be read.

    If changes wait in a write-ahead log, the connection is to a copy in memory that has them. If names are
    not UTF-8, it is to a copy in which their other bytes are read as Latin-1. The statement cache is off,
    because a cached statement would begin in the middle of a tick, and its verdict near the budget would
    depend on what ran before.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such database file")
    try:
        connection = _connected(path, latest(path))
        if wrong := _wrong_names(connection):
            connection = _renamed(path, connection, wrong)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except sqlite3.Error as error:
        raise DataError(f"{path}: not a readable SQLite database: {error}") from None
    return connection


def _connected(path: Path, image: bytes | None) -> sqlite3.Connection:
    """A connection to the file, or to an image of it in memory."""
    uri = ":memory:" if image else f"{path.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, cached_statements=0)
    if image:
        connection.deserialize(image)
    return connection


Names = tuple[int, str, str, str]
"""A row of the catalogue: its id, name, table and SQL."""


def _wrong_names(connection: sqlite3.Connection) -> list[Names]:
    """The rows of the catalogue that are not UTF-8, with the other bytes read as Latin-1."""
    connection.text_factory = lossless
    catalogue = connection.execute("SELECT rowid, name, tbl_name, sql FROM sqlite_master").fetchall()
    connection.text_factory = str
    wrong = []
    for row, *texts in catalogue:
        read = [text and _STRAY.sub(lambda byte: chr(ord(byte[0]) - 0xDC00), text) for text in texts]
        if read != texts:
            wrong.append((row, *read))
    return wrong


def _renamed(path: Path, connection: sqlite3.Connection, wrong: list[Names]) -> sqlite3.Connection:
    """A copy of the database in memory whose names are UTF-8; Python's module cannot return other names."""
    if path.stat().st_size > LARGEST:
        raise DataError(f"{path}: the name of a table or column is not UTF-8: rename it")
    image = bytearray(connection.serialize())
    connection.close()
    image[18:20] = b"\1\1"  # no write-ahead log
    changed = _connected(path, bytes(image))
    changed.execute("PRAGMA writable_schema = ON")
    changed.executemany("UPDATE sqlite_master SET name = ?2, tbl_name = ?3, sql = ?4 WHERE rowid = ?1", wrong)
    image = bytearray(changed.serialize())
    changed.close()
    return _connected(path, bytes(image))


def build(database: Database) -> sqlite3.Connection:
    """The database that ``ddl`` builds, in memory. PRAGMAs are skipped, ATTACH and extensions refused."""
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=0)

    def authorize(action: int, _first: str | None, second: str | None, *_: object) -> int:
        if action == sqlite3.SQLITE_PRAGMA:
            return sqlite3.SQLITE_IGNORE
        refused = action in (sqlite3.SQLITE_ATTACH, sqlite3.SQLITE_DETACH) or DANGEROUS.fullmatch(
            second or ""
        )
        return sqlite3.SQLITE_DENY if refused else sqlite3.SQLITE_OK

    connection.set_authorizer(authorize)
    try:
        connection.executescript(database.ddl)
    except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
        connection.close()
        raise DataError(f"database {database.id}: its DDL does not run: {error}") from None
    connection.set_authorizer(None)
    return connection


def harden(connection: sqlite3.Connection, limits: Limits) -> None:
    """Apply settings to all later statements. One value may take an eighth of ``limits.bytes``."""
    for pragma in ("trusted_schema=ON", "query_only=ON", "temp_store=MEMORY", "mmap_size=0"):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    for what, most in _BOUNDS.items():
        connection.setlimit(what, most)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.bytes // 8)


def readable(connection: sqlite3.Connection) -> frozenset[str]:
    """The lower-case names that a query may read: the tables and views, the catalogue, JSON's rows.

    The first use of a virtual table counts as a change of the catalogue, so all are used once here. A table
    whose module is missing fails whenever it is read.
    """
    connection.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").fetchall()
    connection.text_factory = lossless
    rows = connection.execute(
        "SELECT name, type = 'table' AND rootpage = 0 FROM sqlite_master WHERE type IN ('table', 'view')"
    ).fetchall()
    connection.text_factory = str
    for name, virtual in rows:
        if virtual:
            with suppress(sqlite3.Error, UnicodeError):
                connection.execute(f"SELECT 1 FROM {quote(name)} LIMIT 0").fetchall()
    names = {name.lower() for name, _ in rows}
    return frozenset({"sqlite_master", "sqlite_schema", "json_each", "json_tree"} | names)


def lossless(text: bytes) -> str:
    """Decode text that may not be UTF-8: other bytes become lone surrogates."""
    return text.decode(errors="surrogateescape")


def latest(path: Path) -> bytes | None:
    """The database with all committed changes of its write-ahead log, as bytes; None if there are none.

    Raises DataError: a transaction is unfinished, the log or database is over LARGEST, or the file is written
    while it is read.
    """
    log, journal = companions(path, "sqlite")
    _refuse_hot_journal(path, journal)
    if not log.is_file() or not log.stat().st_size:
        return None
    if max(path.stat().st_size, log.stat().st_size) > LARGEST:
        raise DataError(
            f"{path}: {log.name} holds changes, and one of the two is too large to read into memory: write"
            f" them back with sqlite3 {path.name} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        )
    for _ in range(_READS):
        before = state(path), state(log)
        file, waiting = path.read_bytes(), log.read_bytes()
        if (state(path), state(log)) == before:
            return _merged(file, waiting)
    raise DataError(
        f"{path}: is being written by another program: copy it, or wait until that program has ended"
    )


def _refuse_hot_journal(path: Path, journal: Path) -> None:
    if not journal.is_file():
        return
    with journal.open("rb") as file:
        hot = file.read(len(_JOURNAL)) == _JOURNAL
    if hot:
        raise DataError(
            f"{path}: {journal.name} holds an unfinished transaction: open the database once with the sqlite3"
            " program, which rolls it back"
        )


def _merged(file: bytes, log: bytes) -> bytes | None:
    """The file with the pages of the log's committed frames. Its header then names no log."""
    frames = list(_committed(log))
    if not frames:
        return None
    pages = {page: content for page, content, _ in frames}
    *_, (_, last, size) = frames
    width = len(last)
    image = bytearray(file.ljust(size * width, b"\0")[: size * width])
    for page, content in pages.items():
        if page <= size:
            image[(page - 1) * width : page * width] = content
    image[18:20] = b"\1\1"
    return bytes(image)


def _committed(log: bytes) -> Iterator[tuple[int, bytes, int]]:
    """``(page number, content, pages of the database)`` of the frames up to the last commit, in order."""
    if len(log) < _HEADER.size:
        return
    magic, _, width, _, *salts, first, second = _HEADER.unpack_from(log)
    order = ">" if magic & 1 else "<"
    sums = _checksum(log[:24], order, (0, 0))
    if magic & ~1 != _LOG or sums != (first, second):
        return
    waiting: list[tuple[int, bytes]] = []
    for start in range(_HEADER.size, len(log) - _FRAME.size - width + 1, _FRAME.size + width):
        page, size, first_salt, second_salt, *expected = _FRAME.unpack_from(log, start)
        content = log[start + _FRAME.size : start + _FRAME.size + width]
        sums = _checksum(log[start : start + 8] + content, order, sums)
        if [first_salt, second_salt] != salts or list(sums) != expected or not page:
            return
        waiting.append((page, content))
        if size:
            yield from ((number, data, size) for number, data in waiting)
            waiting.clear()


def _checksum(data: bytes, order: str, sums: Sums) -> Sums:
    """The log's running checksum, over 32-bit words in pairs."""
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
