"""Files that no kill and no full disk leaves half-written; a failing disk is a DataError naming the file."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tasks.errors import DataError


def write(path: Path, content: bytes) -> None:
    """Put a whole file in its place (written beside it, synced, renamed), or leave the place as it was."""
    building = path.with_name(f".{path.name}.{secrets.token_hex(3)}")
    with writing(path):
        try:
            with building.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            building.rename(path)
        except BaseException:
            building.unlink(missing_ok=True)
            raise


def append_lines(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Add whole JSON lines in one write; one that fails is taken back, one that Ctrl-C follows stays."""
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    with writing(path), path.open("ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(text) != len(text):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except BaseException:
            if file.seek(0, os.SEEK_END) < size + len(text):
                file.truncate(size)
            raise


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a JSON-lines file; none where there is no file, and a damaged line is left out."""
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def cut_torn_line(path: Path) -> None:
    """Cut an unended last line off, so that the next append begins a line of its own."""
    if path.exists():
        with writing(path):
            os.truncate(path, path.read_bytes().rfind(b"\n") + 1)


def lock(path: Path) -> IO[bytes] | None:
    """The held lock of a directory, or None where another process holds it. It ends with its holder."""
    with writing(path):
        file = (path / "lock").open("ab")
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def as_json(value: Mapping[str, Any]) -> bytes:
    """A mapping as indented JSON; what JSON has no form for becomes its ``str``."""
    return (json.dumps(value, indent=2, default=str) + "\n").encode()


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write into the one line that a user sees."""
    try:
        yield
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
