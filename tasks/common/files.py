"""Write files and folders so that neither a kill nor a full disk leaves them half-written; lock files.

A failing disk raises DataError, which names the file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
import shutil
import stat
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from string import hexdigits
from typing import IO, Any
from zlib import crc32

from tasks.common.errors import DataError

CHECKSUM = "crc32"
"""The key of the checksum in a JSON object."""
STALE_SECONDS = 3600.0
"""Age from which an unfinished file beside another one counts as left by a killed writer."""
_DIGITS = 6
"""Hex digits at the end of an unfinished file's name."""


def write(path: Path, content: bytes, durable: bool = True) -> None:
    """Write a file whole or not at all: a new file is written beside it and then takes its place.

    ``durable`` syncs the new file to the disk first, and removes what killed writers of this file have left
    beside it. A cache, which can be made again, needs neither. Raises DataError: the file cannot be written.
    """
    part = _part(path)
    with writing(path):
        try:
            with part.open("xb") as file:
                file.write(content)
                if durable:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    if durable:
        _remove_parts(path, STALE_SECONDS)


@contextmanager
def new_folder(path: Path, replace: bool = False) -> Iterator[Path]:
    """A folder to fill. It becomes ``path`` when the block ends, and is removed where the block raises.

    ``replace`` puts it in the place of an older folder; the caller keeps other writers out, so whatever
    killed writers have left beside it is removed. Otherwise ``path`` must not exist. Raises OSError.
    """
    if replace:
        _remove_parts(path, 0.0)
    part, old = _part(path), _part(path)
    part.mkdir(parents=True)
    try:
        yield part
        if replace and path.exists():
            path.rename(old)
        part.rename(path)
    finally:
        remove(part)
        remove(old)


def _part(path: Path) -> Path:
    """A new name beside ``path``, under which its next content is written."""
    return path.with_name(f".{path.name}.{secrets.token_hex(_DIGITS // 2)}")


def _remove_parts(path: Path, age: float) -> None:
    """Remove the unfinished contents of ``path`` that have not been touched for ``age`` seconds."""
    with suppress(OSError):
        for left in path.parent.iterdir():
            digits = left.name.removeprefix(f".{path.name}.")
            is_part = digits != left.name and len(digits) == _DIGITS and not set(digits) - set(hexdigits)
            if is_part and time.time() - left.lstat().st_mtime >= age:
                remove(left)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Remove a folder. It gets a hidden name first, so that a kill leaves no half of it under its own name.

    Raises DataError: it cannot be removed.
    """
    hidden = _part(path)
    with writing(path):
        path.rename(hidden)
        shutil.rmtree(hidden)


def append_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Append JSON lines in one write. A write that fails is undone. Raises DataError."""
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with writing(path), os.fdopen(_opened(path, flags), "ab", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            if file.write(text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException:
            if file.seek(0, os.SEEK_END) < size + len(text):
                file.truncate(size)
            raise


def read(path: Path, follow: bool = True) -> bytes:
    """The content of a regular file. Never waits for a pipe or device. ``follow``: it may be a link.

    Raises OSError; ValueError: it is no regular file.
    """
    with os.fdopen(_opened(path, os.O_RDONLY | (0 if follow else os.O_NOFOLLOW)), "rb") as file:
        return file.read()


def expect_regular(path: Path) -> None:
    """Raise OSError; ValueError: it is no regular file, but a pipe, a device or a folder."""
    os.close(_opened(path, os.O_RDONLY))


def _opened(path: Path, flags: int) -> int:
    """A descriptor of a regular file. Opening never waits, as it would for a pipe without a writer."""
    descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{path.name} is not a regular file")
    return descriptor


def cut_torn_line(path: Path) -> None:
    """Remove a last line without an end, so that the next append begins a new line.

    Links are not followed. Raises DataError; ValueError: it is no regular file.
    """
    if os.path.lexists(path):
        with writing(path), os.fdopen(_opened(path, os.O_RDWR | os.O_NOFOLLOW), "r+b") as file:
            file.truncate(file.read().rfind(b"\n") + 1)


def lock(file: Path, wait: bool = False) -> IO[bytes] | None:
    """Lock a file; None where another process holds the lock. The lock ends with the process.

    ``wait``: wait until the other process releases it. Raises DataError: the file cannot be written;
    ValueError: it is no regular file.
    """
    with writing(file):
        locked = os.fdopen(_opened(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW), "r+b")
    try:
        fcntl.lockf(locked, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        locked.close()
        return None
    with suppress(OSError):  # a full disk: the process id is only for messages
        os.truncate(locked.fileno(), 0)
        os.pwrite(locked.fileno(), str(os.getpid()).encode(), 0)
    return locked


def alone(file: Path) -> IO[bytes]:
    """A lock for which other processes are waited for; its folder is made. Raises DataError."""
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
    locked = lock(file, wait=True)
    if locked is None:
        raise DataError(f"{file}: cannot be locked on this file system")
    return locked


def is_locked(file: Path) -> bool:
    """Whether another process holds the lock of a file. The file is not changed."""
    query = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        descriptor = _opened(file, os.O_RDONLY | os.O_NOFOLLOW)
    except (OSError, ValueError):
        return False
    try:
        return bool(struct.unpack("hhqqi", fcntl.fcntl(descriptor, fcntl.F_GETLK, query))[0] != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


@contextmanager
def only_writer(path: Path, what: str) -> Iterator[None]:
    """Keep other processes from writing to a folder, or to a file, while the block runs.

    Raises DataError: another process is writing; ``what`` says what it does.
    """
    file = path / "lock" if path.is_dir() else path.with_name(f".{path.name}.lock")
    try:
        locked = lock(file)
    except ValueError as error:
        raise DataError(f"{path}: {error}") from None
    if locked is None:
        with suppress(OSError, ValueError):
            what += f" (process {int(read(file))})"
        raise DataError(f"another {what} writes to {path}: wait for its end, or choose another --out")
    with locked:
        try:
            yield
        finally:
            if not path.is_dir():
                file.unlink(missing_ok=True)


def as_json(value: Mapping[str, Any]) -> bytes:
    """A mapping as indented JSON. A value that JSON has no form for becomes its ``str``."""
    return (json.dumps(value, indent=2, default=str) + "\n").encode()


def state(path: Path) -> str:
    """A text that changes whenever the file is written or replaced. Raises OSError.

    Inode, size, time of change, and time of status change, which no program can set back.
    """
    status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def with_checksum(value: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON object with a checksum as its last key: a flipped bit can leave values of the right types.

    What JSON has no form for counts as its ``str``.
    """
    return {**value, CHECKSUM: checksum(json.dumps(value, default=str).encode())}


def without_checksum(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object that ``with_checksum`` was given; an object without a checksum unchanged.

    Raises ValueError: it has changed since it was written.
    """
    rest = dict(value)
    if CHECKSUM in rest and rest.pop(CHECKSUM) != checksum(json.dumps(rest, default=str).encode()):
        raise ValueError(f"changed since it was written (to use it all the same, remove its '{CHECKSUM}')")
    return rest


def checksum(content: bytes) -> str:
    """The CRC-32 of a content, 8 hex digits."""
    return f"{crc32(content):08x}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a DataError that names the file."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
