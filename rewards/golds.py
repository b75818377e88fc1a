"""Results of slow golds, kept on disk between runs, a file each.

A file is named by all that the result depends on: the database file (place, size, time of change), SQL,
engine version and limits. It begins with a digest of its content, so that a damaged one is not read, and it
is moved into place whole, so that writers do not meet. Workers may not write: they hand what is worth keeping
to the parent. A fast gold runs as quickly as its file is read, and one that asks the clock or chance changes:
neither is kept.
"""

from __future__ import annotations

import marshal
import os
import re
import sqlite3
from collections.abc import Iterable
from contextlib import suppress
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

from tasks.types import Database, Limits, Outcome, Status

SLOW = 0.1
"""Seconds from which on a gold is worth keeping."""
LARGEST = 8 * 2**20
"""Bytes of the largest result that is kept."""
_DIGEST = 16
_CHANGES = re.compile(r"random|now|current_|today|uuid", re.IGNORECASE)

Kept = tuple[str, bytes]
"""Name and content of a file."""


def name_of(database: Database, instance: int, sql: str, limits: Limits) -> str:
    """The name of a gold's file; "" where none is kept: no database file, SQL that asks clock or chance."""
    if not database.instances or _CHANGES.search(sql):
        return ""
    path = database.instances[instance]
    try:
        state = path.stat()
    except OSError:
        return ""
    engine = sqlite3.sqlite_version if database.engine == "sqlite" else version(database.engine)
    what = (str(path.resolve()), state.st_size, state.st_mtime_ns, database.engine, engine, repr(limits), sql)
    return blake2b(repr(what).encode("utf-8", "surrogatepass"), digest_size=_DIGEST).hexdigest()


def read(folder: str, name: str) -> Outcome | None:
    """The kept outcome, None where there is none that is whole."""
    try:
        content = Path(folder, name).read_bytes()
    except OSError:
        return None
    digest, body = content[:_DIGEST], content[_DIGEST:]
    if blake2b(body, digest_size=_DIGEST).digest() != digest:
        return None
    columns, rows, seconds, steps = marshal.loads(body)
    return Outcome(Status.OK, columns, rows, "", seconds, steps)


def worth_keeping(name: str, outcome: Outcome) -> list[Kept]:
    """The file that keeps an outcome, in a list; empty where it is fast, failed or too large."""
    if not name or not outcome.ok or outcome.seconds < SLOW:
        return []
    body = marshal.dumps((outcome.columns, outcome.rows, outcome.seconds, outcome.steps))
    return [(name, blake2b(body, digest_size=_DIGEST).digest() + body)] if len(body) <= LARGEST else []


def write(folder: str, kept: Iterable[Kept]) -> None:
    """Keep files. A disk that is full or not writable costs time later, not this run."""
    for name, content in kept:
        place = Path(folder, name)
        part = place.with_suffix(f".{os.getpid()}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(content)
            part.replace(place)
        except OSError:
            with suppress(OSError):
                part.unlink()
