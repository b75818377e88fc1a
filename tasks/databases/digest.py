"""What is in a database, as a short name."""

from __future__ import annotations

import hashlib

from tasks.common.content import file_digest
from tasks.common.errors import DataError
from tasks.common.file_state import database_files
from tasks.types import Database


def digest(database: Database, instance: int = 0) -> str:
    """SHA-256 of an instance's content (files or DDL), 32 hex digits. Raises DataError: the file is missing.

    A file is read again only when its state on disk differs.
    """
    if not database.instances:
        return hashlib.sha256(f"{database.engine}\0{database.ddl}".encode()).hexdigest()[:32]
    path = database.instances[instance]
    try:
        found = [file_digest(file) for file in database_files(path, database.engine)]
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    return (hashlib.sha256(" ".join(found).encode()).hexdigest() if found[1:] else found[0])[:32]
