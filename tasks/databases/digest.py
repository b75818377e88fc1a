"""What is in a database, as a short name: the key under which gold results are kept."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from tasks.errors import DataError
from tasks.types import Database


def digest(database: Database, instance: int = 0) -> str:
    """SHA-256 of an instance's file (or DDL), 32 hex digits. Raises DataError where the file is missing.

    A file is read again only when its size or its time of change differs.
    """
    if not database.instances:
        return hashlib.sha256(f"{database.engine}\0{database.ddl}".encode()).hexdigest()[:32]
    path = database.instances[instance]
    try:
        stat = path.stat()
        return _digest(path, stat.st_size, stat.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


@lru_cache(maxsize=100_000)
def _digest(path: Path, _size: int, _changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
