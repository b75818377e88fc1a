"""The state of files on disk, by a stat: what was read of a file holds as long as its state is the same.

A write-ahead log or rollback journal beside a database is part of it.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

from tasks.common.errors import DataError
from tasks.types import Database, Engine

COMPANIONS: dict[Engine, tuple[str, ...]] = {"sqlite": ("-wal", "-journal"), "duckdb": (".wal",)}
"""Engine -> endings of the files beside a database in which changes may wait."""


def state(path: Path) -> str:
    """Changes whenever the file is written or replaced. Raises OSError.

    Inode, size, time of change, and time of status change, which no program can set back.
    """
    found = path.stat()
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}"


def state_of(path: Path, engine: Engine) -> str:
    """Changes when a database's file, or what waits beside it, does. Raises DataError: no such file."""
    states = _states(path, engine)
    if not states[0]:
        raise DataError(f"{path}: no such database file")
    return "\n".join(states)


def stamped(database: Database) -> Database:
    """The database with the present state of its files, under which results of queries are remembered."""
    if not database.instances:
        return database
    states = [one for path in database.instances for one in _states(path, database.engine)]
    return replace(database, stamp=blake2b("\n".join(states).encode(), digest_size=8).hexdigest())


def database_files(path: Path, engine: Engine) -> list[Path]:
    """A database's file, and those beside it that hold changes."""
    return [path, *(file for file in beside(path, engine) if file.is_file() and file.stat().st_size)]


def beside(path: Path, engine: Engine) -> list[Path]:
    """Where changes to a database may wait: beside the file itself, wherever a symbolic link to it is."""
    file = path.resolve() if path.is_symlink() else path
    return [file.with_name(file.name + ending) for ending in COMPANIONS[engine]]


def _states(path: Path, engine: Engine) -> list[str]:
    found = []
    for file in (path, *beside(path, engine)):
        try:
            found.append(state(file))
        except OSError:
            found.append("")
    return found
