"""Changes that wait beside a SQLite file: a write-ahead log is read into memory, a hot journal is refused.

A file opened with ``immutable=1`` shows neither, so that a query would silently run on old rows, and without
it SQLite would write beside a file that is not ours. Format: https://sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from tasks.common.digests import state
from tasks.common.errors import DataError
from tasks.databases.state import companions

LARGEST = 128 * 2**20
"""Bytes of the largest database, and of the largest log, that is read into memory."""
_JOURNAL = bytes.fromhex("d9d505f920a163d7")
_LOG = 0x377F0682
_HEADER = struct.Struct(">8I")
_FRAME = struct.Struct(">6I")
_READS = 3

Sums = tuple[int, int]


def latest(path: Path) -> bytes | None:
    """The database with all committed changes of its log; None where the file alone has them all.

    Raises DataError in one line: an unfinished transaction, a log or database over LARGEST, a file that is
    written while it is read.
    """
    log, journal = companions(path, "sqlite")
    _refuse_hot_journal(path, journal)
    if not log.is_file() or not log.stat().st_size:
        return None
    if max(path.stat().st_size, log.stat().st_size) > LARGEST:
        raise DataError(
            f"{path}: {log.name} holds changes, and one of the two is too large to be read into memory: write"
            f" them back with sqlite3 {path.name} 'PRAGMA wal_checkpoint(TRUNCATE)'"
        )
    for _ in range(_READS):
        before = state(path), state(log)
        file, waiting = path.read_bytes(), log.read_bytes()
        if (state(path), state(log)) == before:
            return _merged(file, waiting)
    raise DataError(f"{path}: is being written by another program: copy it, or wait until that has ended")


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
    """The file with the pages of the log's committed frames. Its header then says that it has no log."""
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
        page, size, one, two, *expected = _FRAME.unpack_from(log, start)
        content = log[start + _FRAME.size : start + _FRAME.size + width]
        sums = _checksum(log[start : start + 8] + content, order, sums)
        if [one, two] != salts or list(sums) != expected or not page:
            return
        waiting.append((page, content))
        if size:
            yield from ((number, data, size) for number, data in waiting)
            waiting.clear()


def _checksum(data: bytes, order: str, sums: Sums) -> Sums:
    """The log's running checksum, over 32-bit words in pairs."""
    first, second = sums
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for one, two in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second
